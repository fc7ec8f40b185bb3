import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { family, processorTime, residentBytes } from '../processes.ts'
import type { Row, Unit } from '../rows.ts'
import { Generator } from './generator.ts'
import type { Peer, RunningPeer } from './peer.ts'
import { perfClient } from './perf-client.ts'

const RATES = [1_000, 10_000]
const MIB = 2 ** 20

export interface Turn {
  /** About how long each load takes. */
  readonly seconds: number
  /** Of the warm-up before the throughput, which is not counted. */
  readonly warmUp: number
}

const units: Readonly<Record<string, Unit>> = {
  'generator CPU': '%',
  'broker CPU': 'µs/msg',
  'end to end at 1 k/s, p50': 'ms',
  'end to end at 1 k/s, p99': 'ms',
  'end to end at 10 k/s, p50': 'ms',
  'end to end at 10 k/s, p99': 'ms',
  'broker resident': 'MiB',
  'artemis perf client, broker CPU': 'µs/msg',
}

/** A broker that runs, and the process that loads it; both stay for all rounds. */
export class Contestant implements AsyncDisposable {
  readonly peer: Peer
  readonly row: Pick<Row, 'name' | 'unit' | 'units'>
  private readonly broker: RunningPeer
  private readonly generator: Generator
  private readonly directory: string
  /** Messages that have come more than once. */
  duplicates = 0

  private constructor(peer: Peer, broker: RunningPeer, generator: Generator, directory: string) {
    this.peer = peer
    this.row = { name: peer.name, unit: 'msg/s', units }
    this.broker = broker
    this.generator = generator
    this.directory = directory
  }

  static async start(peer: Peer, parent: string): Promise<Contestant> {
    const directory = mkdtempSync(join(parent, 'peer-'))
    const broker = await peer.start(directory)
    try {
      return new Contestant(
        peer,
        broker,
        await Generator.start(peer.driver, broker.url, directory),
        directory,
      )
    } catch (error) {
      await broker[Symbol.asyncDispose]()
      throw error
    }
  }

  get version(): string {
    return this.broker.version
  }

  /** Its figures of one round; a rate that it does not hold has none, and its name is handed to `lost`. */
  async turn({ seconds, warmUp }: Turn, lost: (load: string) => void): Promise<Record<string, number>> {
    await this.generator.throughput(warmUp)
    const [cost, { rate, share, duplicates }] = await this.cost(() => this.generator.throughput(seconds))
    const figures: Record<string, number> = { '': rate, 'generator CPU': share * 100, 'broker CPU': cost }
    this.duplicates = duplicates
    for (const each of RATES) {
      const load = `end to end at ${each / 1000} k/s`
      // What does not go through at all need not be tried.
      const latency = rate < each ? undefined : await this.generator.latency(each, seconds)
      if (latency === undefined) lost(load)
      else Object.assign(figures, { [`${load}, p50`]: latency.p50, [`${load}, p99`]: latency.p99 })
    }
    figures['broker resident'] = residentBytes(family(this.broker.pid)) / MIB
    return figures
  }

  /** What `artemis perf client`, which is in a folder, makes of it; nothing where it cannot be pointed at it. */
  async perf(artemis: string): Promise<Record<string, number>> {
    if (!this.peer.amqp10) return {}
    const { url } = this.broker
    const [cost, { rate }] = await this.cost(() => perfClient(artemis, url, this.directory))
    return {
      ...(rate === undefined ? {} : { 'artemis perf client': rate }),
      'artemis perf client, broker CPU': cost,
    }
  }

  /** Processor time of the broker for each message of a load. Microseconds. */
  private async cost<T extends { readonly messages: number }>(load: () => Promise<T>): Promise<[number, T]> {
    const before = processorTime(family(this.broker.pid))
    const result = await load()
    return [(processorTime(family(this.broker.pid)) - before) / result.messages, result]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.generator[Symbol.asyncDispose]()
    await this.broker[Symbol.asyncDispose]()
  }
}
