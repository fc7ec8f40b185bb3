import type { ProviderEvents } from '../provider.ts'

/** Queues whose sends are being held, told once although several senders hear of it. */
export class Blocks {
  private readonly events: ProviderEvents
  private readonly reasons: Map<string, string> = new Map()

  constructor(events: ProviderEvents) {
    this.events = events
  }

  /** '' as reason: sends flow again. */
  set(queue: string, reason: string): void {
    if ((this.reasons.get(queue) ?? '') === reason) return
    if (reason === '') {
      this.reasons.delete(queue)
      this.events.unblocked(queue)
    } else {
      this.reasons.set(queue, reason)
      this.events.blocked(queue, reason)
    }
  }

  /** Nothing is known any more: what is blocked still will be told again. */
  clear(): void {
    for (const queue of this.reasons.keys()) this.set(queue, '')
  }
}
