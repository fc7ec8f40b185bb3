import { quantile } from '../statistics.ts'
import type { Driver } from './driver.ts'

/** Messages in flight, from the send to the confirm. */
const WINDOW = 2_000
/** How long nothing may come while something is missing, when nothing is sent any more. Milliseconds. */
const PATIENCE = 30_000
/** Share of a latency load that is not counted. */
const WARM_UP = 0.4
const LATE = 500

export interface Throughput {
  /** Messages a second, in and out. */
  readonly rate: number
  readonly messages: number
  /** Processor time of this process, as a share of the time that went by. */
  readonly share: number
  /** Messages that have come again since the process began, which at-least-once allows. */
  readonly duplicates: number
}

/** Undefined when the rate was not held. */
export type Latency = { readonly p50: number; readonly p99: number } | undefined

/** What is done to a broker through a driver. Every message must come. */
export class Loads {
  private readonly driver: Driver
  private readonly late: number
  private next = 0
  /** When each message of the running load came, from its first on; 0: not yet. */
  private came: Float64Array = new Float64Array(0)
  private base = 0
  private received = 0
  private duplicates = 0
  private failure: Error | undefined
  private onReceived: () => void = () => {}

  private constructor(driver: Driver, late: number) {
    this.driver = driver
    this.late = late
  }

  /** A rate is held when no message comes later than `late` after it was due. Milliseconds. */
  static async on(driver: Driver, late: number = LATE): Promise<Loads> {
    const loads = new Loads(driver, late)
    await driver.consume((number) => loads.receive(number))
    return loads
  }

  /** As much as goes through with a window of sends in flight. */
  async throughput(seconds: number): Promise<Throughput> {
    this.begin(Math.ceil(seconds * 1_000_000))
    const processor = process.cpuUsage()
    const begun = performance.now()
    const until = begun + seconds * 1000
    const loop = async (): Promise<void> => {
      while (performance.now() < until) {
        await this.driver.send(this.next++)
      }
    }
    await Promise.all(Array.from({ length: WINDOW }, loop))
    await this.drained()
    const elapsed = performance.now() - begun
    const { user, system } = process.cpuUsage(processor)
    const messages = this.received
    return {
      rate: (messages / elapsed) * 1000,
      messages,
      share: (user + system) / 1000 / elapsed,
      duplicates: this.duplicates,
    }
  }

  /**
   * From the moment a message is due to the call of the handler, at a fixed rate. The clock is looked at in every turn of the
   * event loop: a timer would add its millisecond to everybody's figures.
   */
  async latency(rate: number, seconds: number): Promise<Latency> {
    const total = Math.floor(rate * seconds * (1 + WARM_UP))
    this.begin(total)
    const begun = performance.now()
    const dueAt = (index: number): number => begun + (index / rate) * 1000
    const isLost = (due: number): boolean => due - this.received > (rate * this.late) / 1000
    let due = 0
    await new Promise<void>((resolve) => {
      const tick = (): void => {
        due = Math.min(total, Math.floor(((performance.now() - begun) / 1000) * rate) + 1)
        while (this.next - this.base < due)
          this.driver.send(this.next++).catch((error: Error) => this.fail(error))
        if (due === total || isLost(due) || this.failure) resolve()
        else setImmediate(tick)
      }
      tick()
    })
    await this.drained()
    if (due < total) return undefined
    const counted = this.came
      .map((at, index) => at - dueAt(index))
      .subarray(Math.floor(rate * seconds * WARM_UP))
      .sort()
    if (counted.at(-1)! > this.late) return undefined
    return { p50: quantile(counted, 0.5), p99: quantile(counted, 0.99) }
  }

  private begin(most: number): void {
    this.came = new Float64Array(most)
    this.base = this.next
    this.received = 0
  }

  private receive(number: number): void {
    const at = number - this.base
    if (at < 0 || this.came[at] !== 0) {
      this.duplicates++
      return
    }
    this.came[at] = performance.now()
    this.received++
    this.onReceived()
  }

  private fail(error: Error): void {
    this.failure ??= error
    this.onReceived()
  }

  /** Everything that was sent has come. */
  private async drained(): Promise<void> {
    const sent = this.next - this.base
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, PATIENCE)
    this.onReceived = () => {
      if (this.received >= sent || this.failure) resolve()
      else timer.refresh()
    }
    this.onReceived()
    await promise
    clearTimeout(timer)
    this.onReceived = () => {}
    if (this.failure) throw this.failure
    if (this.received < sent) throw new Error(`of ${sent} messages only ${this.received} came`)
  }
}
