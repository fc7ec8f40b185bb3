import { MillraceError } from '../../model/errors.ts'
import type { Repetition } from '../../model/schedule.ts'
import type { Calendar } from '../ports/calendar.ts'

/**
 * The first time of a repetition after `now`, which has `last` among its times; undefined: there is none any more. Times that
 * have passed meanwhile are left out: a broker that was down does not deliver what nobody waits for any more.
 */
export function nextTime(
  calendar: Calendar,
  repetition: Repetition,
  last: number,
  now: number,
): number | undefined {
  const next = unbounded(calendar, repetition, last, now)
  return next !== undefined && next <= (repetition.until ?? next) ? next : undefined
}

function unbounded(
  calendar: Calendar,
  repetition: Repetition,
  last: number,
  now: number,
): number | undefined {
  const after = Math.max(last, now)
  if (repetition.every === undefined) {
    const { cron, timezone = 'UTC' } = repetition
    return calendar.next(cron, timezone, after)
  }
  const { every } = repetition
  return last + every * (Math.floor((after - last) / every) + 1)
}

/** For hosts that have none. */
export const noCalendar: Calendar = {
  next(): never {
    throw new MillraceError('schedule-invalid', 'this broker has no calendar for cron expressions')
  },
}
