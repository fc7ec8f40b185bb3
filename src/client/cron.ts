import { Cron } from 'croner'
import { MillraceError } from '../model/errors.ts'

/** minute, hour, day of the month, month, weekday; six with the second in front. Nicknames such as @daily are understood too. */
const FIELDS = /^(?:@[a-z]+|\S+(?:\s+\S+){4,5})$/i

/** Cron expressions, with the time zones that this process knows. See the engine's port Calendar. */
export const calendar = {
  /** The first time after `after`, in wall milliseconds; undefined when there is none. Throws `schedule-invalid`. */
  next(cron: string, timezone: string, after: number): number | undefined {
    const next = parse(cron, timezone).nextRun(new Date(after))?.getTime()
    return next !== undefined && next > after ? next : undefined
  },
}

function parse(cron: string, timezone: string): Cron {
  // A question mark stands for the moment at which it is read.
  if (!FIELDS.test(cron.trim()) || cron.includes('?'))
    throw invalid(`${JSON.stringify(cron)} has not five or six fields of a cron expression`)
  try {
    const parsed = new Cron(cron.trim(), { timezone })
    parsed.nextRun(new Date(0))
    return parsed
  } catch (cause) {
    throw invalid(
      `cron expression ${JSON.stringify(cron)} in time zone ${timezone}: ${reasonOf(cause)}`,
      cause,
    )
  }
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}

function invalid(message: string, cause?: unknown): MillraceError {
  return new MillraceError('schedule-invalid', message, { cause })
}
