import { setTimeout as pause } from 'node:timers/promises'
import { type Context, connect, type Message, type Queue, queue } from '../../src/index.ts'
import {
  type Outbox,
  type OutboxSendOptions,
  openOutbox,
  type Relay,
  type RelayOptions,
} from '../../src/patterns/index.ts'
import type { Subject } from './subjects.ts'
import { WatchedDatabase } from './watched-database.ts'

export const orders: Queue<number> = queue<number>('orders')
/** The machine may be slow: claims run out only where a relay has died. */
export const quickly: RelayOptions = { poll: { min: 1, max: 20 }, lease: '1m' }

export interface Bench {
  readonly database: WatchedDatabase
  readonly mq: Context
  readonly outbox: Outbox
  /** Starts a relay, which ends with the test, whatever it is waiting for. */
  relay(options: RelayOptions, of?: Outbox): Promise<Relay>
  /** In a transaction of its own. */
  send(to: Queue<number>, body: number, options?: OutboxSendOptions): Promise<{ messageId: string }>
  rows(): Promise<number>
  /** Resolves when there is nothing in the outbox. */
  empty(): Promise<void>
}

/** A test with an empty database, its outbox and a broker. */
export function bench(subject: Subject, work: (bench: Bench) => Promise<void>): () => Promise<void> {
  return async () => {
    await using opened = await subject.open()
    const database = new WatchedDatabase(opened.database)
    await using mq = await connect('memory:')
    const outbox = await openOutbox({ database })
    const rows = async () => {
      const result = await opened.database.execute('SELECT COUNT(*) AS n FROM millrace_outbox')
      return Number(result.rows[0]!['n'])
    }
    const empty = async () => {
      while ((await rows()) > 0) await pause(1)
    }
    const relays: Relay[] = []
    const relay: Bench['relay'] = async (options, of = outbox) => {
      const started = await of.relay(mq, options)
      relays.push(started)
      return started
    }
    const send: Bench['send'] = (to, body, options) =>
      database.transaction((tx) => outbox.send(tx, to, body, options))
    try {
      await work({ database, mq, outbox, relay, send, rows, empty })
    } finally {
      for (const each of relays) await each.close({ drain: 0 })
    }
  }
}

/** Receives and acknowledges so many. */
export async function take<T>(mq: Context, from: Queue<T>, count: number): Promise<Message<T>[]> {
  const messages: Message<T>[] = []
  while (messages.length < count) {
    const message = await mq.receive(from)
    await message!.acknowledge()
    messages.push(message!)
  }
  return messages
}

export function bodies(messages: readonly Message<number>[]): number[] {
  return messages.map(({ body }) => body)
}

/** Holds back the confirms of what is sent to a queue: it is full, and nobody takes from it. */
export async function blocked(mq: Context): Promise<Queue<number>> {
  const full = queue<number>('full', { policy: { maxMessages: 1, overflow: 'block', blockTimeout: '1h' } })
  await mq.send(full, 0)
  return full
}
