import { readFileSync } from 'node:fs'
import { type Queue, queue } from '../../src/index.ts'

/** One line of orders.csv. */
export interface Order {
  readonly order: string
  readonly placed: string
  readonly customer: string
  readonly city: string
  readonly item: string
  readonly quantity: number
  readonly cents: number
}

export const orders: Queue<Order> = queue<Order>('orders')

/** The lines of the file, without its heading. */
export function readLines(file: string): string[] {
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(1)
}

export function parseOrder(line: string): Order {
  const [order, placed, customer, city, item, quantity, cents] = line.split(';') as string[]
  return {
    order: order!,
    placed: placed!,
    customer: customer!,
    city: city!,
    item: item!,
    quantity: Number(quantity),
    cents: Number(cents),
  }
}

/** The line that `parseOrder` made an order of. */
export function formatOrder({ order, placed, customer, city, item, quantity, cents }: Order): string {
  return [order, placed, customer, city, item, quantity, cents].join(';')
}
