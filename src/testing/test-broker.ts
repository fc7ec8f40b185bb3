import { ConnectionFactory } from '../client/connect.ts'
import type { ConnectionOptions } from '../client/connection.ts'
import type { Context } from '../client/context.ts'
import type { Queue } from '../client/destinations.ts'
import { queue as queueOf } from '../client/destinations.ts'
import type { BrowsedMessage } from '../client/message.ts'
import type { EmbeddedOptions } from '../embedded/opening.ts'
import { embedded } from '../embedded/provider.ts'
import { type Duration, milliseconds } from '../model/duration.ts'
import { MillraceError } from '../model/errors.ts'
import { SeededRandom } from './random.ts'
import { TestClock } from './test-clock.ts'

export interface TestBrokerOptions extends ConnectionOptions {
  /** 'virtual' (default): time passes only by `advance`. 'real': by itself. */
  readonly clock?: 'virtual' | 'real' | undefined
  /** Policies, limits and whatever else the embedded broker takes. */
  readonly broker?: Omit<EmbeddedOptions, 'clock' | 'random' | 'journal'> | undefined
  /** Seed of the jitter of backoffs. Default 1. */
  readonly seed?: number | undefined
}

/** Real milliseconds after which `idle` gives up, because a handler does not return. */
const PATIENCE = 10_000

let brokers = 0

/** A broker in memory for tests of applications: the real engine behind the usual API, and time in the test's hands. */
export class TestBroker implements AsyncDisposable {
  /** The connection that the test uses like any other. */
  readonly mq: Context
  private readonly factory: ConnectionFactory
  private readonly clock: TestClock | undefined
  private readonly others: Set<Context> = new Set()

  /** @internal */
  constructor(mq: Context, factory: ConnectionFactory, clock: TestClock | undefined) {
    this.mq = mq
    this.factory = factory
    this.clock = clock
  }

  /** Another connection to the same broker, for a second program. Closed with the broker. */
  async connect(options: ConnectionOptions = {}): Promise<Context> {
    const context = await this.factory.createContext(options)
    this.others.add(context)
    return context
  }

  /** Lets time pass, with everything that becomes due in it: backoffs, expiries, timeouts. Rejects with `illegal-state`. */
  async advance(time: Duration): Promise<void> {
    if (this.clock === undefined) {
      throw new MillraceError(
        'illegal-state',
        "the broker runs on real time; make it with { clock: 'virtual' }",
      )
    }
    await this.clock.advance(milliseconds(time))
    await this.idle()
  }

  /**
   * Resolves when nothing more happens by itself: what could be delivered has been, and its handlers have returned.
   * Rejects with `timeout` when a handler does not return within ten real seconds.
   */
  async idle(): Promise<void> {
    const giveUp = performance.now() + PATIENCE
    for (let quiet = 0; quiet < 2; ) {
      await new Promise((resolve) => setImmediate(resolve))
      const held = (await this.mq.management.queues()).filter(({ acquired }) => acquired > 0)
      quiet = held.length === 0 && !this.clock?.isBusy() ? quiet + 1 : 0
      if (performance.now() < giveUp) continue
      const names = held.map(({ name, acquired }) => `${name} (${acquired})`).join(', ')
      throw new MillraceError('timeout', `the broker does not come to rest; not settled yet: ${names}`)
    }
  }

  /** What the queue holds, in its order, whatever its state. */
  async messages<T>(queue: Queue<never, T>): Promise<BrowsedMessage<T>[]> {
    const found: BrowsedMessage<T>[] = []
    if (!(await this.exists(queue.name))) return found
    for await (const message of this.mq.browse(queue)) found.push(message)
    return found
  }

  /** What the queue's dead-letter queue holds. */
  async deadLetters<T>(queue: Queue<never, T>): Promise<BrowsedMessage<T>[]> {
    const report = (await this.mq.management.queues()).find(({ name }) => name === queue.name)
    const name = (report?.policy.deadLetter ?? '').replaceAll('{queue}', queue.name)
    return name === '' ? [] : this.messages(queueOf<never, T>(name))
  }

  async close(): Promise<void> {
    for (const other of this.others) await other.close()
    await this.mq.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  private async exists(name: string): Promise<boolean> {
    return (await this.mq.management.queues()).some((queue) => queue.name === name)
  }
}

/** A fresh broker, connected. */
export async function testBroker(options: TestBrokerOptions = {}): Promise<TestBroker> {
  const { clock: kind = 'virtual', broker = {}, seed = 1, ...connection } = options
  const clock = kind === 'virtual' ? new TestClock() : undefined
  const provider = embedded({ ...broker, clock, random: new SeededRandom(seed) })
  const factory = new ConnectionFactory(`memory:test-broker-${++brokers}`, { provider })
  return new TestBroker(await factory.createContext(connection), factory, clock)
}
