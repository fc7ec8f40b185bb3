import type { AddressInfo } from 'node:net'
import { HostClock, hostRandom } from '../../src/embedded/host.ts'
import { Serving } from '../../src/embedded/serving.ts'
import { SharedBroker } from '../../src/embedded/shared-brokers.ts'
import { MemoryStore } from '../../src/engine/memory/store.ts'
import type { EngineOptions } from '../../src/engine/options.ts'
import type { GatewayOptions } from '../../src/gateway/amqp10/host.ts'

/** A broker in memory behind a gateway and a socket, for tests that look at the client alone. */
export class LocalBroker {
  private readonly broker: SharedBroker
  private readonly serving: Serving
  private readonly faults: unknown[]

  static async start(
    gateway: Partial<GatewayOptions> = {},
    engine: Omit<EngineOptions, 'maxMessageBytes'> = {},
  ): Promise<LocalBroker> {
    const clock = new HostClock()
    const { maxMessageBytes } = gateway
    const parts = { store: new MemoryStore(clock), clock, random: hostRandom, release: () => {} }
    const broker = await SharedBroker.open({ ...parts, options: { ...engine, maxMessageBytes } }, () => {})
    const faults: unknown[] = []
    const served = { engine: broker.engine, clock, random: hostRandom, gateway }
    const serving = await Serving.listen(
      { ...served, faulted: (cause) => faults.push(cause) },
      { host: '127.0.0.1', port: 0 },
    )
    return new LocalBroker(broker, serving, faults)
  }

  private constructor(broker: SharedBroker, serving: Serving, faults: unknown[]) {
    this.broker = broker
    this.serving = serving
    this.faults = faults
  }

  get port(): number {
    return (this.serving.address as AddressInfo).port
  }

  get url(): string {
    return `amqp://127.0.0.1:${this.port}`
  }

  get connections(): number {
    return this.serving.size
  }

  async stop(): Promise<void> {
    await this.serving.close()
    await this.broker.engine.close()
    const [fault] = this.faults
    if (fault !== undefined) throw new Error('the gateway has met a fault of its own', { cause: fault })
  }
}
