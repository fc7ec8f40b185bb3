import { type Queue, queue, type Topic, topic } from '../../src/index.ts'

/** What somebody says: `number` counts what they have said. */
export interface Line {
  readonly speaker: string
  readonly number: number
  readonly text: string
}

export type Order =
  | {
      readonly order: 'say'
      readonly kind: 'room' | 'person'
      readonly target: string
      readonly text: string
    }
  | { readonly order: 'leave' }

/** One to one: only this person takes from it. */
export function inboxOf(person: string): Queue<Line> {
  return queue<Line>(`inbox.${person}`)
}

/** One to many: each member has a durable subscription. */
export function roomNamed(room: string): Topic<Line> {
  return topic<Line>(`room.${room}`)
}
