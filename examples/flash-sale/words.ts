import { type Queue, queue } from '../../src/index.ts'

export const SALE = 'sale'

/** Of somebody who was let in, for the piece that his place stands for. */
export interface Order {
  readonly buyer: number
  readonly number: number
  readonly token: number
  /** Who waits there for the answer. */
  readonly door: string
}

/** The queue takes the peak. */
export const orders: Queue<Order> = queue<Order>('orders', {
  policy: { backoff: { delay: '50ms', maxDelay: '1s' } },
})

export interface Answer {
  readonly buyer: number
  readonly number: number
  /** False: the piece had been sold before. */
  readonly sold: boolean
}

export function answersAt(door: string): Queue<Answer> {
  return queue<Answer>(`answers.${door}`, { policy: { backoff: { delay: '50ms', maxDelay: '1s' } } })
}

/** What became of a buyer: sold; refused at the door; let in, and left without buying. */
export type Outcome = 'sold' | 'refused' | 'left'

/** What a door tells: how many have come, and how many of them have been let in or refused. */
export type DoorTold =
  | { readonly event: 'ready' | 'done' }
  | { readonly event: 'progress'; readonly come: number; readonly told: number }
