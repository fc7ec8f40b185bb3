import type { ScheduledMessage, ScheduledPage } from '../../src/engine/api.ts'
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
