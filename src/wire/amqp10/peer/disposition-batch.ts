import { type FrameTarget, writeDisposition } from './frame-writer.ts'
import { accepted, type DeliveryState, released } from './performatives.ts'
import { next } from './serial.ts'

/** Dispositions of one turn in one direction: those that adjoin and say the same become one frame. */
export class DispositionBatch {
  private readonly receiver: boolean
  private first = 0
  private last = 0
  private settled = false
  private state: DeliveryState | undefined
  private waiting = false

  constructor(receiver: boolean) {
    this.receiver = receiver
  }

  add(
    target: FrameTarget,
    first: number,
    last: number,
    settled: boolean,
    state: DeliveryState | undefined,
  ): void {
    const canonical = canonicalState(state)
    if (this.waiting && settled === this.settled && canonical === this.state) {
      if (first === next(this.last)) {
        this.last = last
        return
      }
      if (next(last) === this.first) {
        this.first = first
        return
      }
    }
    this.flush(target)
    this.first = first
    this.last = last
    this.settled = settled
    this.state = canonical
    this.waiting = true
  }

  flush(target: FrameTarget): void {
    if (!this.waiting) return
    this.waiting = false
    writeDisposition(target, this.receiver, this.first, this.last, this.settled, this.state)
  }
}

/** One object for each state that has no content, so that equal ones are identical. */
function canonicalState(state: DeliveryState | undefined): DeliveryState | undefined {
  if (state?.kind === 'accepted') return accepted
  if (state?.kind === 'released') return released
  return state
}
