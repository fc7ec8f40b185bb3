/**
 * What many pending scheduled messages cost: `node bench/schedule.ts 10000000`. The engine with a real journal in a temporary
 * directory; prints the rate of scheduling against plain sending, the resident memory of the process, how long a start takes
 * with all of them pending, and the rate at which the first 200,000 come due.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { calendar } from '../src/client/cron.ts'
import { HostClock, hostRandom } from '../src/embedded/host.ts'
import type { ConnectionSink, Publication, PublishOutcome } from '../src/engine/api.ts'
import { Broker } from '../src/engine/broker.ts'
import { Journal } from '../src/storage/journal.ts'
import { NodeDisk } from '../src/storage/node-disk.ts'

const pending = Number(process.argv[2] ?? 1_000_000)
const due = Math.min(200_000, Math.floor(pending / 10))
const WINDOW = 20_000
const payload = Buffer.alloc(100, 'x')
const hour = 3_600_000

const contents = {
  property: () => undefined,
  deduplicationId: () => undefined,
  selectable: () => undefined,
}

/** A clock whose time of day can be put on. */
class BenchClock extends HostClock {
  ahead = 0

  override wall(): number {
    return super.wall() + this.ahead
  }
}

class Run implements ConnectionSink {
  readonly clock = new BenchClock()
  readonly broker: Broker
  connection = 0
  decided = 0
  delivered = 0
  private consumer = 0
  private wake: () => void = () => {}

  constructor(directory: string) {
    const store = new Journal({ disk: new NodeDisk(directory), clock: this.clock })
    this.broker = new Broker({ store, clock: this.clock, random: hostRandom, contents, calendar })
  }

  async open(): Promise<number> {
    const begun = performance.now()
    await this.broker.open()
    this.connection = this.broker.connect(this)
    return performance.now() - begun
  }

  /** Answers messages a second. */
  async send(count: number, more: (index: number) => Partial<Publication>): Promise<number> {
    const begun = performance.now()
    this.decided = 0
    for (let sent = 0; this.decided < count; ) {
      while (sent < count && sent - this.decided < WINDOW) {
        this.broker.publish(this.connection, { ...plain, tag: sent + 1, ...more(sent) })
        sent++
      }
      await new Promise<void>((resolve) => {
        this.wake = resolve
      })
    }
    return (count / (performance.now() - begun)) * 1000
  }

  /** Answers messages a second. */
  async receive(count: number): Promise<number> {
    const begun = performance.now()
    this.delivered = 0
    this.consumer = this.broker.consume(this.connection, { queue: 'q' })
    this.broker.grant(this.consumer, count)
    while (this.delivered < count) {
      await new Promise<void>((resolve) => {
        this.wake = resolve
      })
    }
    return (count / (performance.now() - begun)) * 1000
  }

  published(outcomes: readonly PublishOutcome[]): void {
    for (const { tag, last, error } of outcomes) {
      if (error !== undefined) throw error
      this.decided += last - tag + 1
    }
    this.wake()
  }

  deliver(consumer: number, deliveries: readonly { readonly tag: number }[], count: number): void {
    const first = deliveries[0]!.tag
    this.broker.settle(consumer, first, deliveries[count - 1]!.tag, { outcome: 'accepted' })
    this.delivered += count
    this.wake()
  }

  settled(): void {}
  cancelled(): void {}
  blocked(): void {}
  unblocked(): void {}
  failed(error: Error): void {
    throw error
  }
}

const plain: Publication = {
  tag: 0,
  exchange: '',
  key: 'q',
  durability: 'disk',
  priority: 4,
  format: 1,
  payload,
  expiry: 0,
  producer: 0,
  sequence: 0,
  mandatory: true,
}

function resident(): string {
  return `${Math.round(process.memoryUsage.rss() / 2 ** 20)} MiB resident`
}

function rate(perSecond: number): string {
  return `${Math.round(perSecond).toLocaleString('en-US')} a second, ${(1e6 / perSecond).toFixed(1)} µs each`
}

const directory = mkdtempSync(join(tmpdir(), 'millrace-schedule-'))
const alive = setInterval(() => {}, 1_000)
try {
  let run = new Run(directory)
  await run.open()
  run.broker.declareQueue({ name: 'q' })
  await run.send(200_000, () => ({}))
  console.log(`plain send       ${rate(await run.send(200_000, () => ({})))}`)
  console.log(`plain receive    ${rate(await run.receive(400_000))}`)
  const now = run.clock.wall()
  const times = { due: 0 }
  const scheduled = await run.send(pending, (index) => {
    // The first are due in a minute or two of the broker's time, the others within a year.
    times.due =
      index < due
        ? now + hour + (index % 60_000)
        : now + 2 * hour + Math.floor(Math.random() * 365 * 24 * hour)
    return times
  })
  console.log(`scheduled send   ${rate(scheduled)}`)
  console.log(`${pending.toLocaleString('en-US')} pending: ${resident()}`)
  const closing = performance.now()
  await run.broker.close()
  console.log(`close            ${((performance.now() - closing) / 1000).toFixed(1)} s`)
  run = new Run(directory)
  run.clock.ahead = hour + 60_000 - (run.clock.wall() - now)
  console.log(`start            ${((await run.open()) / 1000).toFixed(1)} s, ${resident()}`)
  console.log(`due, delivered   ${rate(await run.receive(due))}`)
  console.log(`${run.broker.queue('q')!.scheduled.toLocaleString('en-US')} pending: ${resident()}`)
  await run.broker.close()
} finally {
  clearInterval(alive)
  rmSync(directory, { recursive: true })
}
