import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { ConnectionFactory, type ConnectOptions } from '../../client/connect.ts'
import type { Connection } from '../../client/connection.ts'
import { Context } from '../../client/context.ts'
import { type Queue, type QueueOptions, queue } from '../../client/destinations.ts'
import type { Message } from '../../client/message.ts'
import type { Capabilities } from '../../client/provider.ts'

/** A provider to be tested: how to get at a fresh broker of its kind. */
export interface ProviderSubject {
  /** Begins the name of each test. */
  readonly name: string
  /** What it declares that it can do. Tests of what it cannot are skipped, and say so. */
  readonly capabilities: Capabilities
  /** An empty broker. */
  start(): Promise<SubjectBroker>
}

export interface SubjectBroker {
  readonly url: string
  readonly options?: ConnectOptions | undefined
  /** Ends it, and deletes what it has stored. */
  stop(): Promise<void>
}

/** A broker for one test, and its connections, which are closed at its end. */
class Bench {
  private readonly broker: SubjectBroker
  private readonly opened: AsyncDisposable[] = []
  private names = 0

  constructor(broker: SubjectBroker) {
    this.broker = broker
  }

  private factory(): ConnectionFactory {
    return new ConnectionFactory(this.broker.url, this.broker.options)
  }

  async connect(clientId?: string): Promise<Context> {
    const context = await Context.open(await this.factory().createConnection({ clientId }))
    this.opened.push(context)
    return context
  }

  /** A connection that has not been started. */
  async connection(): Promise<Connection> {
    const connection = await this.factory().createConnection()
    this.opened.push(connection)
    return connection
  }

  /** A queue that no other test uses. Failures are redelivered soon. */
  queue<In = string, Out = In>(options: QueueOptions<In, Out> = {}): Queue<In, Out> {
    return queue<In, Out>(`q${++this.names}`, { ...options, policy: { backoff: quickly, ...options.policy } })
  }

  async end(): Promise<void> {
    for (const each of this.opened.reverse()) await each[Symbol.asyncDispose]()
    await this.broker.stop()
  }
}

/** Redelivery without the usual second of delay. */
export const quickly = { delay: 5, multiplier: 1, jitter: 0 } as const

type Ability = { [K in keyof Capabilities]: Capabilities[K] extends boolean ? K : never }[keyof Capabilities]

/** Longest that a test may wait for something that never comes. Milliseconds. */
const PATIENCE = 20_000

/** Registers a test of the contract; it is skipped, with the reason, when the provider does not claim what it needs. */
export function contract(
  subject: ProviderSubject,
  needs: readonly Ability[],
  clause: string,
  run: (bench: Bench, t: TestContext) => Promise<void>,
): void {
  const missing = needs.filter((ability) => !subject.capabilities[ability])
  const skip = missing.length > 0 && `${subject.name} does not claim ${missing.join(', ')}`
  test(`${subject.name}: ${clause}`, { skip, timeout: PATIENCE }, async (t) => {
    const bench = new Bench(await subject.start())
    try {
      await run(bench, t)
    } finally {
      await bench.end()
    }
  })
}

/** Receives so many messages, all of which must come, acknowledges none, and answers them in order. */
export async function take<T>(mq: Context, from: Queue<never, T>, count: number): Promise<Message<T>[]> {
  const messages: Message<T>[] = []
  while (messages.length < count) messages.push(await one(mq, from))
  return messages
}

/** The next message, which must come. */
export async function one<T>(mq: Context, from: Queue<never, T>): Promise<Message<T>> {
  const message = await mq.receive(from)
  assert.ok(message)
  return message
}

/** Asserts that a queue has nothing ready. */
export async function assertEmpty(mq: Context, from: Queue<never, unknown>): Promise<void> {
  const message = await mq.receive(from, { timeout: 0 })
  assert.equal(message?.body, undefined, 'the queue has nothing more')
}

/** The queue that takes the dead letters of a queue by default. */
export function deadLettersOf<T>(from: Queue<never, T>): Queue<T, T> {
  return queue<T>(`${from.name}.dlq`)
}
