import { createServer, type ListenOptions, type Server, type Socket } from 'node:net'
import type { Engine } from '../engine/api.ts'
import type { Clock } from '../engine/ports/clock.ts'
import type { Random } from '../engine/ports/random.ts'
import { AmqpGateway } from '../gateway/amqp10/gateway.ts'
import type { ConnectionOptions, GatewayOptions } from '../gateway/amqp10/host.ts'
import { Pump, PumpStation } from './pump.ts'

/** How often the time-outs of connections are looked after. Milliseconds. */
const TICK = 500
/** How long to wait for the first bytes of a client. Milliseconds. */
const PATIENCE = 10_000
/** How long clients may take to answer that they leave. Milliseconds. */
const LINGER = 200

/** Whoever can open the socket may do everything: the permissions of the file have let them in. */
const anybody: ReturnType<NonNullable<ConnectionOptions['sasl']>> = {
  mechanisms: () => ['ANONYMOUS'],
  start: () => ({ kind: 'done', identity: '' }),
  next: () => ({ kind: 'failed', code: 1 }),
}

export interface Served {
  readonly engine: Engine
  readonly clock: Clock
  readonly random: Random
  /** What the engine cannot answer for: a fault of ours that has ended a connection. */
  readonly faulted: (cause: unknown) => void
  readonly gateway?: Partial<GatewayOptions> | undefined
}

/** Serves AMQP on a socket of this machine, for the processes that share a broker. */
export class Serving {
  private readonly server: Server
  private readonly gateway: AmqpGateway
  private readonly faulted: (cause: unknown) => void
  private readonly clients: Set<Pump> = new Set()
  private readonly station = new PumpStation()
  private readonly timer: NodeJS.Timeout

  /** Rejects with the error of the system. */
  static async listen(served: Served, where: ListenOptions): Promise<Serving> {
    const serving = new Serving(served)
    try {
      await new Promise<void>((resolve, reject) => {
        serving.server.once('error', reject)
        serving.server.listen(where, resolve)
      })
    } catch (error) {
      clearInterval(serving.timer)
      throw error
    }
    return serving
  }

  private constructor({ engine, clock, random, faulted, gateway }: Served) {
    this.faulted = faulted
    this.gateway = new AmqpGateway(engine, {
      containerId: 'embedded',
      version: '',
      clock,
      random,
      ...gateway,
    })
    this.server = createServer((socket) => this.accept(socket))
    // The broker lives as long as somebody in this process uses it, and not for those that are attached.
    this.server.unref()
    this.timer = setInterval(() => this.tick(), TICK).unref()
  }

  get address(): ReturnType<Server['address']> {
    return this.server.address()
  }

  /** Connections that are served. */
  get size(): number {
    return this.clients.size
  }

  private accept(socket: Socket): void {
    // What an attached process still wants does not keep this one alive.
    socket.unref()
    const client: Pump = new Pump(socket, this.station, {
      now: performance.now(),
      patience: PATIENCE,
      connect: (events) =>
        this.gateway.connect({
          remote: 'this machine',
          now: performance.now(),
          sasl: () => anybody,
          events,
        }),
      events: {
        authenticated: ignore,
        ended: ignore,
        faulted: this.faulted,
        closed: () => this.clients.delete(client),
      },
    })
    this.clients.add(client)
  }

  private tick(): void {
    const now = performance.now()
    for (const client of this.clients) client.tick(now)
  }

  /** Asks the clients to leave, and ends those that do not. Nobody comes any more. */
  async close(): Promise<void> {
    this.server.close()
    this.gateway.shutDown({
      condition: 'amqp:connection:forced',
      description: 'the owner of the directory leaves',
    })
    const giveUp = performance.now() + LINGER
    while (this.clients.size > 0 && performance.now() < giveUp) {
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    this.cut()
    clearInterval(this.timer)
  }

  /** Ends every transport at once, as a kill would. */
  cut(): void {
    for (const client of this.clients) client.destroy()
  }
}

function ignore(): void {}
