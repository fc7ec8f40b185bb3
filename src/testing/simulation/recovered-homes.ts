import type { Broker } from '../../engine/broker.ts'
import { RECOVERED_PREFIX } from '../../model/policy.ts'
import type { SentMessage } from './messages.ts'
import type { Reference } from './reference.ts'
import { listScheduled } from './schedule-stock.ts'
import { browseAll } from './stock.ts'
import { Violation } from './violation.ts'
import type { World } from './world.ts'

/**
 * Which queues the broker's recovered ones have been. Their names are lost, so it is told by the messages: by most of them at
 * first, since one that was sent to several queues may be in any.
 */
export class RecoveredHomes {
  private readonly homes = new Map<string, string>()
  private readonly reference: Reference

  constructor(reference: Reference) {
    this.reference = reference
  }

  /** The broker has started and made these queues. False when it has ended. */
  async started(world: World, broker: Broker, names: readonly string[]): Promise<boolean> {
    if (names.length === 0) return true
    if (!this.reference.damaged)
      throw new Violation('content', `${names.join(', ')} recovered, and nothing was damaged`)
    for (const name of names) this.introduce(name)
    const scheduled = await listScheduled(world, broker)
    if (scheduled === undefined) return false
    const candidates = new Map<string, string[]>()
    for (const name of names) {
      const shown = await browseAll(world, broker, name)
      if (shown === undefined) return false
      const due = scheduled.filter(({ targets }) => targets.includes(name))
      // Dead letters say themselves where they have been.
      const own = [...shown.filter(({ annotations }) => annotations === ''), ...due]
      const messages = own.flatMap(({ format }) => this.reference.messages.get(format) ?? [])
      candidates.set(
        name,
        mostLikely(messages).filter((queue) => broker.queue(queue) === undefined),
      )
    }
    this.assign(candidates)
    world.note('recovered', [...this.homes])
    return true
  }

  /** The queue that a message was routed to which is in `queue` now. */
  of(queue: string, message: SentMessage | undefined): string {
    if (!queue.startsWith(RECOVERED_PREFIX)) return queue
    const known = this.homes.get(queue)
    if (known !== undefined || message === undefined) return known ?? queue
    const homes = mostLikely([message])
    const taken = new Set(this.homes.values())
    const home = homes.find((one) => !taken.has(one)) ?? homes[0]
    if (home !== undefined) this.lost(home, queue)
    return home ?? queue
  }

  private lost(home: string, name: string): void {
    this.homes.set(name, home)
    this.reference.lostName(home)
  }

  /** Each has been another queue; what is certain of one leaves less for the others. */
  private assign(candidates: Map<string, string[]>): void {
    while (candidates.size > 0) {
      const [next] = [...candidates].sort(([, a], [, b]) => a.length - b.length)
      const [name, homes] = next!
      const [home] = homes
      if (home !== undefined) this.lost(home, name)
      candidates.delete(name)
      for (const [other, others] of candidates) {
        const rest = others.filter((one) => one !== home)
        candidates.set(other, rest)
      }
    }
  }

  private introduce(name: string): void {
    const never = Number.POSITIVE_INFINITY
    this.reference.declared({
      name,
      volatile: false,
      ttl: never,
      dropsOldest: false,
      keepsLast: false,
      deduplication: undefined,
      deliveryTimeout: never,
      maxDeliveries: 1,
    })
  }
}

/** The queues that most of the messages were routed to. */
function mostLikely(messages: readonly SentMessage[]): string[] {
  const votes = new Map<string, number>()
  for (const { copies } of messages) {
    for (const { queue } of copies) votes.set(queue, (votes.get(queue) ?? 0) + 1)
  }
  const most = Math.max(...votes.values())
  return [...votes].filter(([, count]) => count === most).map(([queue]) => queue)
}
