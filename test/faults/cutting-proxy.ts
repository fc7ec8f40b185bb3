import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

/** Where a connection is cut, seen from what its client asks for. */
export const cuts = [
  'before a commit',
  'after a commit',
  'before a statement',
  'after a statement',
  'all at once',
] as const
export type Cut = (typeof cuts)[number]

interface Link {
  readonly client: Socket
  readonly server: Socket
  /** The answer that comes next is not passed on. */
  doomed: (() => void) | undefined
}

const COMMIT = Buffer.from('COMMIT')

/**
 * Stands between drivers and a database, and really cuts connections: before what is asked for has reached the database, or
 * after it has been done, and the driver is not told. Both databases have the word itself in the bytes of a commit.
 */
export class CuttingProxy {
  /** How often each has happened. */
  readonly counts: Map<Cut, number> = new Map()
  private readonly upstream: string
  private readonly listener: Server
  private lastPort = 0
  private readonly links: Set<Link> = new Set()
  private readonly planned: { readonly cut: Cut; readonly done: () => void }[] = []

  /** `upstream`: the socket of the database in the file system. */
  static async start(upstream: string): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(upstream)
    await proxy.up()
    return proxy
  }

  private constructor(upstream: string) {
    this.upstream = upstream
    this.listener = createServer((client) => this.link(client))
  }

  get port(): number {
    const address = this.listener.address()
    return typeof address === 'object' && address ? address.port : 0
  }

  /** The next connection for which there is an occasion is cut. */
  plan(cut: Cut, done: () => void): void {
    this.planned.push({ cut, done })
  }

  /** What has found no occasion is forgotten. */
  forget(): void {
    this.planned.length = 0
  }

  private link(client: Socket): void {
    const link: Link = { client, server: connect(this.upstream), doomed: undefined }
    this.links.add(link)
    for (const [from, to] of [
      [link.client, link.server],
      [link.server, link.client],
    ] as const) {
      from.on('error', () => {})
      from.on('close', () => {
        this.links.delete(link)
        to.destroy()
      })
    }
    link.client.on('data', (bytes) => this.asked(link, bytes))
    link.server.on('data', (bytes) => {
      if (link.doomed) link.doomed()
      else client.write(bytes)
    })
  }

  private asked(link: Link, bytes: Buffer): void {
    const at = this.planned.findIndex(({ cut }) => !cut.endsWith('commit') || bytes.includes(COMMIT))
    if (at < 0 || link.doomed) {
      link.server.write(bytes)
      return
    }
    const [{ cut, done }] = this.planned.splice(at, 1) as [(typeof this.planned)[number]]
    const happens = () => {
      this.counts.set(cut, (this.counts.get(cut) ?? 0) + 1)
      done()
      for (const each of cut === 'all at once' ? [...this.links] : [link]) sever(each)
    }
    if (!cut.startsWith('after')) return happens()
    link.doomed = happens
    link.server.write(bytes)
  }

  /** Nobody is connected any more, or can be. */
  async down(): Promise<void> {
    this.lastPort = this.port
    this.listener.close()
    for (const link of [...this.links]) sever(link)
    await once(this.listener, 'close')
  }

  /** At the same port again. */
  async up(): Promise<void> {
    this.listener.listen(this.lastPort, '127.0.0.1')
    await once(this.listener, 'listening')
  }

  async stop(): Promise<void> {
    if (this.listener.listening) await this.down()
  }
}

function sever({ client, server }: Link): void {
  client.destroy()
  server.destroy()
}
