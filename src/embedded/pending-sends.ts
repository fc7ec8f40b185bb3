import type { SendReceipt } from '../client/provider.ts'
import type { PublishOutcome } from '../engine/api.ts'
import type { Durability } from '../model/delivery.ts'

/** A send that has not been decided yet. */
export interface PendingSend {
  readonly resolve: (receipt: SendReceipt) => void
  readonly reject: (error: unknown) => void
  readonly messageId: string
  readonly durability: Durability
  readonly sender: { decided(): void }
}

/** Sends for which the window may keep room while there are none. */
const KEPT = 16_384

/** Undecided sends by their tag: tags rise by one and are mostly decided in order, so that this is a sliding window. */
export class PendingSends {
  private window: (PendingSend | undefined)[] = []
  /** Positions in the window of the oldest undecided send and behind the newest, and the tag of position 0. */
  private head = 0
  private tail = 0
  private base = 1
  private undecided = 0

  get size(): number {
    return this.undecided
  }

  /** Answers its tag. */
  add(send: PendingSend): number {
    this.undecided++
    this.window[this.tail] = send
    return this.base + this.tail++
  }

  /** Undefined when the send was decided before. */
  take(tag: number): PendingSend | undefined {
    const at = tag - this.base
    const send = this.window[at]
    if (!send) return undefined
    this.window[at] = undefined
    this.undecided--
    if (at === this.head) this.advance()
    return send
  }

  /** All that are undecided, in order; there are none afterwards. */
  takeAll(): PendingSend[] {
    const sends = this.window.filter((send) => send !== undefined)
    this.window = []
    this.undecided = 0
    this.empty()
    return sends
  }

  private advance(): void {
    const { window } = this
    while (this.head < this.tail && window[this.head] === undefined) this.head++
    if (this.head === this.tail) this.empty()
    else if (this.head >= 4096 && this.head * 2 >= this.tail) {
      window.splice(0, this.head)
      this.base += this.head
      this.tail -= this.head
      this.head = 0
    }
  }

  /** What has grown stays: it will be needed again, and growing costs copies. */
  private empty(): void {
    if (this.window.length > KEPT) this.window = []
    this.base += this.tail
    this.head = 0
    this.tail = 0
  }
}

/** What the sender is told: for a half message and for a scheduled one also the number that it has at the broker. */
export function receiptOf(
  { messageId, durability }: Pick<PendingSend, 'messageId' | 'durability'>,
  { prepared, scheduled }: PublishOutcome,
): SendReceipt {
  if (prepared !== undefined) return { messageId, durability, prepared }
  if (scheduled !== undefined) return { messageId, durability, scheduleId: String(scheduled) }
  return { messageId, durability }
}
