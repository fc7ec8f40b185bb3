import type { ScheduledMessage, ScheduledPage } from '../../src/engine/api.ts'
import { MemoryStore } from '../../src/engine/memory/store.ts'
import type { Store } from '../../src/engine/ports/store.ts'
import type { VirtualClock } from '../../src/testing/virtual-clock.ts'
import { type Bench, type Peer, textOf } from './support.ts'

/** Everything that is scheduled, in pages of `limit`. */
export async function listAll(bench: Bench, queue?: string, limit = 1_000): Promise<ScheduledMessage[]> {
  const all: ScheduledMessage[] = []
  for (let after: string | undefined = ''; after !== undefined; ) {
    const from: string = after
    const page: ScheduledPage = await bench.answer((done) => bench.broker.scheduled(queue, from, limit, done))
    all.push(...page.messages)
    after = page.next
  }
  return all
}

export async function listed(bench: Bench, queue?: string): Promise<string[]> {
  return (await listAll(bench, queue)).map(textOf)
}

export function cancel(bench: Bench, lsn: number): Promise<boolean> {
  return bench.answer((done) => bench.broker.cancelScheduled(lsn, done))
}

export function later(bench: Bench, milliseconds: number): { due: number } {
  return { due: bench.clock.wall() + milliseconds }
}

/** Numbers of scheduled messages by the tags of their publications, as outcomes tell them. */
export function schedulesOf(peer: Peer): Map<number, number> {
  const numbers = new Map<number, number>()
  const published = peer.published.bind(peer)
  peer.published = (outcomes) => {
    for (const { tag, scheduled } of outcomes) if (scheduled !== undefined) numbers.set(tag, scheduled)
    published(outcomes)
  }
  return numbers
}

/** Of what has not been loaded it has a message in memory until one is read that is as new or newer. */
export class ForgetfulStore extends MemoryStore {
  latest = 0
  private isLoaded = false
  private readonly clockOfLoads: VirtualClock

  constructor(clock: VirtualClock) {
    super(clock)
    this.clockOfLoads = clock
  }

  override read(...[queue, lsn, into]: Parameters<Store['read']>): boolean {
    const isThere = this.isLoaded || lsn > this.latest
    this.latest = Math.max(this.latest, lsn)
    return isThere && super.read(queue, lsn, into)
  }

  override load(...[, , done]: Parameters<Store['load']>): void {
    this.clockOfLoads.defer(() => {
      this.isLoaded = true
      done([])
      this.isLoaded = false
    })
  }
}
