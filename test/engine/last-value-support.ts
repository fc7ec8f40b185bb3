import type { Core } from '../../src/engine/core.ts'
import type { Bench, Peer } from './support.ts'

export const policy = { lastValue: 'k' }

/** A message whose text tells its key and its value. */
export function send(peer: Peer, queue: string, key: unknown, value: number, more = {}): number {
  return peer.send(queue, JSON.stringify({ k: key, v: value }), more)
}

/** How many keys the queue knows. */
export function known({ broker }: Bench): number | undefined {
  const inside = broker as unknown as { readonly core: Core }
  return inside.core.topology.queues.get('q')!.values?.size
}

/** The values in the queue, in order. */
export async function values(bench: Bench, queue = 'q'): Promise<number[]> {
  return (await bench.texts(queue)).map(valueIn)
}

export function valueIn(text: string): number {
  return (JSON.parse(text) as { v: number }).v
}

export function received(peer: Peer): number[] {
  return peer.takeTexts().map(valueIn)
}
