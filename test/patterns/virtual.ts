import { ConnectionFactory, type Context, embedded, type QueueReport } from '../../src/index.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { TestClock } from '../../src/testing/test-clock.ts'

let brokers = 0

/** A broker in memory, and time in the test's hands; other than TestBroker it lets time pass while handlers run. */
export class VirtualBroker implements AsyncDisposable {
  readonly mq: Context
  readonly clock: TestClock
  private readonly factory: ConnectionFactory
  private readonly others: Context[] = []

  private constructor(mq: Context, clock: TestClock, factory: ConnectionFactory) {
    this.mq = mq
    this.clock = clock
    this.factory = factory
  }

  static async start(): Promise<VirtualBroker> {
    const clock = new TestClock()
    const provider = embedded({ clock, random: new SeededRandom(1) })
    const factory = new ConnectionFactory(`memory:virtual-${++brokers}`, { provider })
    return new VirtualBroker(await factory.createContext(), clock, factory)
  }

  async connect(): Promise<Context> {
    const context = await this.factory.createContext()
    this.others.push(context)
    return context
  }

  /** Lets so many milliseconds pass, in steps, each with all that it brings about. */
  async pass(milliseconds: number, step: number = Math.max(1, milliseconds / 100)): Promise<void> {
    for (let left = milliseconds; left > 0; left -= step) {
      await this.clock.advance(Math.min(step, left))
      await this.rest()
    }
  }

  /** Resolves when nothing more happens at this moment. */
  async rest(): Promise<void> {
    for (let quiet = 0; quiet < 3; quiet++) {
      await new Promise((resolve) => setImmediate(resolve))
      if (this.clock.isBusy()) quiet = 0
    }
  }

  /** What a handler awaits to take time. */
  sleep(milliseconds: number): Promise<void> {
    return new Promise((resolve) => this.clock.after(milliseconds, resolve))
  }

  async report(queue: string): Promise<QueueReport> {
    const reports = await this.mq.management.queues()
    return reports.find(({ name }) => name === queue)!
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const other of this.others) await other.close({ drain: 0 })
    await this.mq.close({ drain: 0 })
  }
}
