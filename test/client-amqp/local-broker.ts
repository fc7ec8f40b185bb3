import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { HostClock, hostRandom } from '../../src/embedded/host.ts'
import { SharedBroker } from '../../src/embedded/shared-brokers.ts'
import { MemoryStore } from '../../src/engine/memory/store.ts'
import { AmqpGateway } from '../../src/gateway/amqp10/gateway.ts'
import type { GatewayOptions } from '../../src/gateway/amqp10/host.ts'
import { Pump, PumpStation } from '../../src/server/pump.ts'
import type { SaslServer } from '../../src/wire/amqp10/sasl/sasl.ts'

/** Lets everybody in. */
const anybody: SaslServer = {
  mechanisms: () => ['ANONYMOUS'],
  start: () => ({ kind: 'done', identity: 'anybody' }),
  next: () => ({ kind: 'failed', code: 1 }),
}

/** A broker in memory behind a gateway and a socket, for tests that look at the client alone. */
export class LocalBroker {
  readonly broker: SharedBroker
  private readonly server: Server
  private readonly gateway: AmqpGateway
  private readonly pumps: Set<Pump> = new Set()
  private readonly ticking: NodeJS.Timeout
  readonly faults: unknown[] = []

  static async start(options: Partial<GatewayOptions> = {}): Promise<LocalBroker> {
    const clock = new HostClock()
    const { maxMessageBytes } = options
    const parts = { store: new MemoryStore(clock), clock, random: hostRandom, release: () => {} }
    const broker = await SharedBroker.open({ ...parts, options: { maxMessageBytes } }, () => {})
    const local = new LocalBroker(broker, clock, options)
    local.server.listen(0, '127.0.0.1')
    await once(local.server, 'listening')
    return local
  }

  private constructor(broker: SharedBroker, clock: HostClock, options: Partial<GatewayOptions>) {
    this.broker = broker
    this.gateway = new AmqpGateway(broker.engine, {
      containerId: 'local',
      version: '0',
      clock,
      random: hostRandom,
      ...options,
    })
    const station = new PumpStation()
    this.server = createServer((socket) => {
      const now = performance.now()
      const pump: Pump = new Pump(
        socket,
        station,
        now,
        (events) => this.gateway.connect({ remote: 'test', now, events, sasl: () => anybody }),
        {
          ended: () => {},
          authenticated: () => {},
          faulted: (cause) => this.faults.push(cause),
          closed: () => this.pumps.delete(pump),
        },
      )
      this.pumps.add(pump)
    })
    this.ticking = setInterval(() => {
      for (const pump of this.pumps) pump.tick(performance.now())
    }, 20)
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port
  }

  get url(): string {
    return `amqp://127.0.0.1:${this.port}`
  }

  get connections(): number {
    return this.gateway.size
  }

  /** Cuts every connection, as a broken network would. */
  cut(): void {
    for (const pump of this.pumps) pump.destroy()
  }

  async stop(): Promise<void> {
    clearInterval(this.ticking)
    this.cut()
    this.server.close()
    await this.broker.engine.close()
    const [fault] = this.faults
    if (fault) throw fault
  }
}
