import { setImmediate } from 'node:timers/promises'
import { calendar } from '../src/client/cron.ts'
import { HostClock, hostRandom } from '../src/embedded/host.ts'
import type { ConnectionSink, Delivery, Publication, PublishOutcome } from '../src/engine/api.ts'
import { Broker } from '../src/engine/broker.ts'
import type { EngineOptions } from '../src/engine/options.ts'
import type { RecoveryReport } from '../src/engine/ports/store.ts'
import type { Disk } from '../src/storage/disk.ts'
import { Journal } from '../src/storage/journal.ts'

/** Publications that have no outcome yet, at most; and those made in one turn of the event loop. */
const WINDOW = 20_000
const BURST = 500

const contents = {
  property: () => undefined,
  deduplicationId: () => undefined,
  selectable: () => undefined,
}

const plain: Publication = {
  tag: 0,
  exchange: '',
  key: '',
  durability: 'disk',
  priority: 4,
  format: 1,
  payload: Buffer.alloc(0),
  expiry: 0,
  producer: 0,
  sequence: 0,
  mandatory: true,
}

/**
 * The engine on a journal, as its hosts call it, with a load generator in the same process that costs next to nothing:
 * what is measured is the broker without the API above it.
 */
export class EngineLoad implements ConnectionSink {
  readonly clock: HostClock
  readonly broker: Broker
  /** Deliveries so far. */
  delivered = 0
  connection = 0
  private decided = 0
  private readonly alive: NodeJS.Timeout
  private progressed: () => void = () => {}

  constructor(disk: Disk, options: EngineOptions = {}, clock: HostClock = new HostClock()) {
    this.clock = clock
    const store = new Journal({ disk, clock })
    this.broker = new Broker({ store, clock, random: hostRandom, contents, calendar }, options)
    // The clock's own timers do not keep the process alive.
    this.alive = setInterval(() => {}, 1_000)
  }

  async open(): Promise<RecoveryReport> {
    const report = await this.broker.open()
    this.connection = this.broker.connect(this)
    return report
  }

  async close(): Promise<void> {
    await this.broker.close()
    clearInterval(this.alive)
  }

  /** Publishes `count` messages, as `more` says of each, with many under way; resolves when all of them are confirmed. */
  async publish(count: number, more: (index: number) => Partial<Publication>): Promise<void> {
    this.decided = 0
    for (let sent = 0; this.decided < count; ) {
      const end = Math.min(count, this.decided + WINDOW, sent + BURST)
      for (; sent < end; sent++) {
        this.broker.publish(this.connection, { ...plain, tag: sent + 1, ...more(sent) })
      }
      if (sent < count && sent - this.decided < WINDOW) await setImmediate()
      else if (this.decided < count) await this.progress()
    }
  }

  /** A consumer that accepts whatever it gets, at once. */
  consume(queue: string, credit: number): number {
    const consumer = this.broker.consume(this.connection, { queue })
    this.broker.grant(consumer, credit)
    return consumer
  }

  cancel(consumer: number): void {
    this.broker.cancel(consumer, { release: true })
  }

  /** Resolves when `delivered` has reached `count`. */
  async until(count: number): Promise<void> {
    while (this.delivered < count) await this.progress()
  }

  private progress(): Promise<void> {
    return new Promise((resolve) => {
      this.progressed = resolve
    })
  }

  published(outcomes: readonly PublishOutcome[]): void {
    for (const { tag, last, error } of outcomes) {
      if (error !== undefined) throw error
      this.decided += last - tag + 1
    }
    this.progressed()
  }

  deliver(consumer: number, deliveries: readonly Delivery[], count: number): void {
    this.delivered += count
    this.broker.settle(consumer, deliveries[0]!.tag, deliveries[count - 1]!.tag, { outcome: 'accepted' })
    this.broker.grant(consumer, count)
    this.progressed()
  }

  settled(): void {}
  cancelled(): void {}
  blocked(): void {}
  unblocked(): void {}
  failed(error: Error): void {
    throw error
  }
}
