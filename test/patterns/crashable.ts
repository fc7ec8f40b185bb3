import type { AddressInfo } from 'node:net'
import { EmbeddedConnection } from '../../src/embedded/connection.ts'
import { HostClock, hostRandom, KeepAlive } from '../../src/embedded/host.ts'
import { Serving } from '../../src/embedded/serving.ts'
import { SharedBroker } from '../../src/embedded/shared-brokers.ts'
import { type Context, connect, type Provider } from '../../src/index.ts'
import { Journal } from '../../src/storage/journal.ts'
import { FaultyDisk } from '../../src/testing/faulty-disk.ts'
import { SeededRandom } from '../../src/testing/random.ts'

const journal = { segmentBytes: 256 * 1024, reserveBytes: 64 * 1024 }

/**
 * A broker with the real journal on a simulated disk. When it crashes, what was not synced is gone, whoever was connected is
 * cut off, and another broker opens what is left.
 */
export class CrashableBroker {
  private readonly clock = new HostClock()
  private readonly disk: FaultyDisk
  private broker!: SharedBroker
  private serving: Serving | undefined
  private port = 0
  private readonly keepAlive = new KeepAlive()

  private constructor(seed: number, delay: number) {
    this.disk = new FaultyDisk(this.clock, new SeededRandom(seed), {
      torn: 0.3,
      delay: { min: 0, max: delay },
    })
  }

  /** `delay`: longest time that the disk takes for something. Milliseconds. */
  static async start(seed: number, delay = 0): Promise<CrashableBroker> {
    const crashable = new CrashableBroker(seed, delay)
    crashable.keepAlive.hold()
    await crashable.open()
    return crashable
  }

  private async open(): Promise<void> {
    const { clock } = this
    const store = new Journal({ disk: this.disk.mount(), clock, options: journal })
    const parts = { store, clock, random: hostRandom, release: () => {}, options: {} }
    this.broker = await SharedBroker.open(parts, () => {})
  }

  /** Serves AMQP, under the same URL after every crash. */
  async serve(): Promise<string> {
    const { clock } = this
    const { engine } = this.broker
    const served = {
      engine,
      clock,
      random: hostRandom,
      faulted: (cause: unknown) => void process.emitWarning(cause as Error),
    }
    this.serving = await Serving.listen(served, { host: '127.0.0.1', port: this.port })
    this.port = (this.serving.address as AddressInfo).port
    return `amqp://127.0.0.1:${this.port}`
  }

  /** A program in the broker's own process: it ends with it. */
  async connect(): Promise<Context> {
    return connect('crashable:', { provider: this.provider() })
  }

  provider(): Provider {
    return {
      schemes: ['crashable'],
      connect: async (_url, { clientId, events }) => {
        // The broker is there until it is stopped, whoever leaves.
        const home: SharedBroker = Object.create(this.broker, { leave: { value: async () => {} } })
        return new EmbeddedConnection(home, clientId, events)
      },
    }
  }

  /** The power fails, and comes back. Programs of the broker's own process are gone: nothing answers them any more. */
  async crash(): Promise<void> {
    const { serving } = this
    // Whoever waits for an answer of the old broker is told nothing by a disk that is gone.
    this.disk.crash()
    this.serving = undefined
    serving?.cut()
    await serving?.close()
    await this.open()
    if (serving) await this.serve()
  }

  /** Whoever is connected over the network is cut off, and may come back. */
  cut(): void {
    this.serving?.cut()
  }

  async stop(): Promise<void> {
    this.serving?.cut()
    await this.serving?.close()
    await this.broker.engine.close()
    this.keepAlive.release()
  }
}
