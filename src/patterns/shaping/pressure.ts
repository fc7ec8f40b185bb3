import { MillraceError } from '../../model/errors.ts'

/**
 * Why a producer cannot send at this moment.
 * - in-flight: as many sends as are allowed have not been confirmed.
 * - rate: it has been sending as fast as it may.
 * - queue-full, memory-full, disk-full: the broker holds sends, or has refused one, for this reason.
 * - disconnected: the connection is lost, and as many sends as are allowed wait for it.
 */
export type PressureReason =
  | 'in-flight'
  | 'rate'
  | 'queue-full'
  | 'memory-full'
  | 'disk-full'
  | 'disconnected'

/** A producer that cannot send, why, and when it can again. */
export interface Pressure {
  readonly reason: PressureReason
  /** Resolves when it can; the reason may have changed meanwhile. */
  readonly relieved: Promise<void>
}

/** A send was not begun, because there was no room for it in time. Nothing of it has been stored. */
export class Backpressure extends MillraceError {
  readonly reason: PressureReason

  constructor(reason: PressureReason, message: string, options?: { readonly cause?: unknown }) {
    super('backpressure', message, options)
    this.reason = reason
  }
}

/** Tells when there is pressure and when there is none any more. */
export class PressureGauge {
  private readonly changed: (reason: PressureReason | undefined) => void
  private state: (Pressure & { readonly relieve: () => void }) | undefined

  constructor(changed: (reason: PressureReason | undefined) => void) {
    this.changed = changed
  }

  get pressure(): Pressure | undefined {
    return this.state && { reason: this.state.reason, relieved: this.state.relieved }
  }

  set(reason: PressureReason | undefined): void {
    const { state } = this
    if (reason === state?.reason) return
    if (reason === undefined) {
      this.state = undefined
      state?.relieve()
    } else if (state) {
      this.state = { ...state, reason }
    } else {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.state = { reason, relieved: promise, relieve: resolve }
    }
    this.changed(reason)
  }
}
