import { MillraceError } from '../../model/errors.ts'
import type { Repetition } from '../../model/schedule.ts'
import {
  DELIVERY_DELAY_KEY,
  DELIVERY_TIME_KEY,
  REPEAT_PREFIX,
  repetitionFields,
} from '../../wire/amqp10/sections.ts'

type Field = (typeof repetitionFields)[number]

const texts: ReadonlySet<Field> = new Set(['cron', 'timezone'])

/** When a message wishes to be delivered, as its annotations say. */
export class ScheduleHead {
  /** Wall milliseconds, and milliseconds from now; 0: not said. */
  private time = 0
  private delay = 0
  private fields: Partial<Record<Field, number | string>> | undefined

  reset(): void {
    this.time = 0
    this.delay = 0
    this.fields = undefined
  }

  /** Nothing has been said of it since the reset. */
  get isUnsaid(): boolean {
    return this.time === 0 && this.delay === 0 && this.fields === undefined
  }

  /** Whether the annotation says something of it. Throws `schedule-invalid` for what cannot be understood. */
  read(key: string, value: unknown): boolean {
    if (key === DELIVERY_TIME_KEY) this.time = numberOf(key, value)
    else if (key === DELIVERY_DELAY_KEY) this.delay = numberOf(key, value)
    else return key.startsWith(REPEAT_PREFIX) && this.readRepetition(key, value)
    return true
  }

  /** Wall milliseconds; 0: at once. */
  due(wall: () => number): number {
    return this.delay > 0 && this.time === 0 ? wall() + this.delay : this.time
  }

  /** What is wrong with it the engine says. */
  get repetition(): Repetition | undefined {
    return this.fields as Repetition | undefined
  }

  private readRepetition(key: string, value: unknown): boolean {
    const field = repetitionFields.find((name) => REPEAT_PREFIX + name === key)
    if (field === undefined) throw invalid(key, `is none of ${repetitionFields.join(', ')}`)
    this.fields ??= {}
    this.fields[field] = texts.has(field) ? textOf(key, value) : numberOf(key, value)
    return true
  }
}

function numberOf(key: string, value: unknown): number {
  if (value instanceof Date) return value.getTime()
  if (typeof value === 'bigint') return Number(value)
  if (typeof value === 'number') return value
  throw invalid(key, 'is a number of milliseconds, or of times')
}

function textOf(key: string, value: unknown): string {
  if (typeof value === 'string') return value
  throw invalid(key, 'is a text')
}

function invalid(key: string, problem: string): MillraceError {
  return new MillraceError('schedule-invalid', `the annotation ${key} ${problem}`)
}
