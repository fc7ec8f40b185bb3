import { MillraceError } from './errors.ts'

/** Milliseconds, or a text of a number and a unit: '250ms', '5s', '1.5m', '2h', '7d'. */
export type Duration = number | string

const units: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Milliseconds of a duration. Throws `duration-invalid`. */
export function milliseconds(duration: Duration): number {
  if (typeof duration === 'number') {
    if (duration >= 0) return duration
  } else {
    const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(duration)
    if (match) return Number(match[1]) * units[match[2]!]!
  }
  throw new MillraceError(
    'duration-invalid',
    `${JSON.stringify(duration)} is not a duration; give milliseconds or a text such as '250ms', '5s', '2m', '1h', '7d'`,
  )
}
