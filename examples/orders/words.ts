import { type Queue, queue } from '../../src/index.ts'

/** How the shop tells the inventory of an order: by a call, by a task in the background, through the broker. */
export type Way = 'direct' | 'background' | 'queued'

export const ways: readonly Way[] = ['direct', 'background', 'queued']

/** The id is chosen by who orders, so that it can be asked again whether it was taken. */
export interface Order {
  readonly id: string
  readonly way: Way
  readonly item: string
  readonly pieces: number
}

export const orders: Queue<Order> = queue<Order>('orders', {
  policy: { backoff: { delay: '50ms', maxDelay: '1s' } },
})

export const items: readonly string[] = ['grain mill', 'bread tin', 'oat flakes', 'sieve']

/** Pieces of each item, for each of the ways, in the beginning. */
export const STOCK = 100_000

/** Rejects when the other side is not there, does not answer in time, or answers that it could not. */
export async function post(port: number, path: string, body: unknown): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    method: 'POST',
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(1_000),
  })
  await response.arrayBuffer()
  if (!response.ok) throw new Error(`${path} was answered with ${response.status}`)
}
