import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** A wire between clients and a broker that can be cut, held up, or go dead without a word. */
export class Wire {
  private readonly server: Server
  private readonly pairs: Set<[Socket, Socket]> = new Set()
  /** Bytes that may still pass, in both directions together, before every wire is cut. */
  private allowance = Number.POSITIVE_INFINITY
  private dead = false
  accepted = 0

  static async start(port: () => number): Promise<Wire> {
    const wire = new Wire(port)
    wire.server.listen(0, '127.0.0.1')
    await once(wire.server, 'listening')
    return wire
  }

  private constructor(port: () => number) {
    this.server = createServer((client) => {
      this.accepted++
      const broker = connect(port(), '127.0.0.1')
      const pair: [Socket, Socket] = [client, broker]
      this.pairs.add(pair)
      const end = () => {
        this.pairs.delete(pair)
        client.destroy()
        broker.destroy()
      }
      for (const [from, to] of [pair, [broker, client]] as const) {
        from.on('data', (bytes) => this.carry(from, to, bytes))
        from.on('error', end)
        from.on('close', end)
      }
    })
  }

  get url(): string {
    return `amqp://127.0.0.1:${(this.server.address() as AddressInfo).port}`
  }

  private carry(from: Socket, to: Socket, bytes: Buffer): void {
    if (this.dead) return
    if (bytes.length > this.allowance) {
      to.write(bytes.subarray(0, this.allowance), () => this.cut())
      this.allowance = 0
      from.pause()
      return
    }
    this.allowance -= bytes.length
    if (to.write(bytes)) return
    from.pause()
    to.once('drain', () => from.resume())
  }

  /** Cuts every wire. New ones work. */
  cut(): void {
    this.allowance = Number.POSITIVE_INFINITY
    for (const [client, broker] of this.pairs) {
      client.destroy()
      broker.destroy()
    }
  }

  /** Cuts every wire after so many more bytes, in the middle of a frame most likely. */
  cutAfter(bytes: number): void {
    this.allowance = bytes
  }

  /** From now on nothing arrives at either side, and nobody is told. */
  goDead(): void {
    this.dead = true
  }

  revive(): void {
    this.dead = false
  }

  stop(): void {
    this.server.close()
    this.cut()
  }
}
