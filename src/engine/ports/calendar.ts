/**
 * Cron expressions, which need time zones and their history. Deterministic: the answer depends on the arguments alone, and on
 * the time zone data of the host.
 */
export interface Calendar {
  /**
   * The first time after `after`, in wall milliseconds, that the expression names in the time zone; undefined when there is none.
   * Throws `schedule-invalid` for an expression or a time zone that cannot be read.
   */
  next(cron: string, timezone: string, after: number): number | undefined
}
