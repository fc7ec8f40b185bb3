/**
 * When a scheduled message is delivered again. By interval: `every` milliseconds after the planned time before, however late
 * that was carried out. By cron expression: five fields (minute, hour, day, month, weekday) or six with seconds in front, read
 * in `timezone` (an IANA name; default UTC).
 */
export type Repetition = RepetitionByInterval | RepetitionByCron

export interface RepetitionByInterval extends RepetitionEnd {
  /** Whole milliseconds, at least 1. */
  readonly every: number
  readonly cron?: undefined
}

export interface RepetitionByCron extends RepetitionEnd {
  readonly cron: string
  readonly timezone?: string | undefined
  readonly every?: undefined
}

export interface RepetitionEnd {
  /** Deliveries in all, the first included; undefined: without end. */
  readonly times?: number | undefined
  /** Wall milliseconds after which there is none. */
  readonly until?: number | undefined
}

/** The last millisecond that a Date can name. */
const LAST_TIME = 8.64e15

/** Longest cron expression and name of a time zone. */
const MAX_TEXT = 256

/** What is wrong with a repetition; undefined: nothing, as far as can be said without a calendar. */
export function repetitionProblem({ every, cron, times, until, ...rest }: Repetition): string | undefined {
  const { timezone } = rest as RepetitionByCron
  if ((every === undefined) === (cron === undefined)) return 'a repetition has either every or cron'
  if (every !== undefined && !(Number.isSafeInteger(every) && every >= 1))
    return `every is a whole number of milliseconds from 1, not ${every}`
  if (cron !== undefined && !isText(cron)) return 'cron is an expression of five or six fields'
  if (timezone !== undefined && (cron === undefined || !isText(timezone)))
    return 'timezone is the name of a time zone such as Europe/Berlin, for a cron expression'
  if (times !== undefined && !(Number.isSafeInteger(times) && times >= 1))
    return `times is a whole number from 1, not ${times}`
  if (until !== undefined && !isTime(until)) return `until is a time in wall milliseconds, not ${until}`
  return undefined
}

/** Whether `time` is a point in time that people can be shown. */
export function isTime(time: number): boolean {
  return typeof time === 'number' && time >= 0 && time <= LAST_TIME
}

function isText(text: unknown): boolean {
  return typeof text === 'string' && text !== '' && text.length <= MAX_TEXT
}
