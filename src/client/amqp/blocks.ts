import type { ProviderEvents } from '../provider.ts'

/** Queues whose sends are being held, told once although several senders hear of it. */
export class Blocks {
  private readonly events: ProviderEvents
  /** What each sender has heard last: queues and reasons. */
  private readonly heard: Map<object, ReadonlyMap<string, string>> = new Map()
  private told: Map<string, string> = new Map()

  constructor(events: ProviderEvents) {
    this.events = events
  }

  /** All that the broker holds of a sender's at present. */
  set(sender: object, reasons: ReadonlyMap<string, string>): void {
    if (reasons.size === 0) this.heard.delete(sender)
    else this.heard.set(sender, reasons)
    this.tell()
  }

  /** The line is gone, and with it what was being held. */
  clear(): void {
    this.heard.clear()
    this.tell()
  }

  private tell(): void {
    const now = new Map<string, string>()
    for (const reasons of this.heard.values()) for (const [queue, reason] of reasons) now.set(queue, reason)
    const before = this.told
    this.told = now
    for (const queue of before.keys()) if (!now.has(queue)) this.events.unblocked(queue)
    for (const [queue, reason] of now) if (before.get(queue) !== reason) this.events.blocked(queue, reason)
  }
}
