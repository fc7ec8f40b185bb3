import type { HandlerContext } from '../../client/worker.ts'
import { MillraceError } from '../../model/errors.ts'

/** The context with this added or put in place; whatever else it has, it keeps. */
export function extended<C extends HandlerContext, Given extends object>(
  context: C,
  given: Given,
): C & Given {
  return Object.create(
    context,
    Object.fromEntries(Object.entries(given).map(([name, value]) => [name, { value, enumerable: true }])),
  )
}

/** What a handler is told whose message takes back what another one has done, or may have: the undo of a step of a saga. */
export interface Undoing {
  /** The id of that message. */
  readonly undoes: string
  /** 'unknown': somebody may still be at work on it. */
  readonly outcome: 'done' | 'unknown'
}

/** The id of a message of which nobody knows whether it was processed, and which is undone by this one. */
export function unsureOf(context: HandlerContext & Partial<Undoing>): string | undefined {
  return context.outcome === 'unknown' ? context.undoes : undefined
}

/** A signal that also is aborted when a time has passed. */
export class Limit {
  readonly signal: AbortSignal
  private readonly timer: NodeJS.Timeout | undefined

  constructor(signal: AbortSignal, timeout: number | undefined) {
    if (timeout === undefined) {
      this.signal = signal
      return
    }
    const aborter = new AbortController()
    const tooLong = () =>
      aborter.abort(new MillraceError('timeout', `the handler has not returned within ${timeout} ms`))
    this.timer = setTimeout(tooLong, timeout)
    this.signal = AbortSignal.any([signal, aborter.signal])
  }

  end(): void {
    clearTimeout(this.timer)
  }
}
