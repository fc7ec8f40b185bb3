/** The machine talks to rhea, an implementation by other people, over sockets and in both roles. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { after, suite, test } from 'node:test'
import rhea, { type Connection, type Container, type EventContext } from 'rhea'
import { encodeMessage } from '../../src/wire/amqp10/message-encoder.ts'
import { decodeMessage } from '../../src/wire/amqp10/message-view.ts'
import type { PeerOptions } from '../../src/wire/amqp10/peer/peer.ts'
import { parsePlain } from '../../src/wire/amqp10/sasl/plain.ts'
import type { SaslServer } from '../../src/wire/amqp10/sasl/sasl.ts'
import { type RecordedReceiver, type RecordedSession, Recorder } from './pair.ts'
import { bytesOf } from './raw.ts'

const plain: SaslServer = {
  mechanisms: () => ['PLAIN'],
  start(_, initial) {
    const { user, password } = parsePlain(initial) ?? {}
    return Promise.resolve(
      password === 'secret' ? { kind: 'done', identity: user! } : { kind: 'failed', code: 1 },
    )
  },
  next: () => ({ kind: 'failed', code: 1 }),
}

/** Joins a recorder and a socket: one write per turn. */
class Host extends Recorder {
  readonly socket: Socket
  onTransfer: (receiver: RecordedReceiver) => void = () => {}

  constructor(socket: Socket, options: Partial<PeerOptions> & { role: 'client' | 'server' }) {
    super(options)
    this.socket = socket
    socket.on('data', (chunk) => this.peer.receive(chunk))
    socket.on('error', () => {})
  }

  override writable(): void {
    setImmediate(() => this.flush())
  }

  override closed(...parameters: Parameters<Recorder['closed']>): void {
    super.closed(...parameters)
    setImmediate(() => {
      this.flush()
      this.socket.end()
    })
  }

  private flush(): void {
    const output = this.peer.takeOutput()
    if (output) this.socket.write(bytesOf(output))
  }
}

const servers: { close(): unknown }[] = []
after(() => {
  for (const server of servers) server.close()
})

/** A server of ours; what to do with its sessions is said by `begun`. */
async function serve(
  begun: (session: RecordedSession, host: Host) => void,
  options: Partial<PeerOptions> = {},
): Promise<{ port: number; hosts: Host[] }> {
  const hosts: Host[] = []
  const server = createServer((socket) => {
    const host = new Host(socket, { role: 'server', ...options })
    hosts.push(host)
    const inherited = host.sessionBegun.bind(host)
    host.sessionBegun = (session) => {
      inherited(session)
      begun(host.sessions.at(-1)!, host)
    }
  })
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, hosts }
}

/** A rhea container connected there. */
function dial(port: number, options: object = {}): { container: Container; connection: Connection } {
  const container = rhea.create_container({ id: 'stranger' })
  const connection = container.connect({ port, host: '127.0.0.1', reconnect: false, ...options })
  connection.on('disconnected', () => {})
  return { container, connection }
}

function event(
  emitter: { once(name: string, listener: (context: EventContext) => void): unknown },
  name: string,
): Promise<EventContext> {
  return new Promise((resolve) => emitter.once(name, resolve))
}

function message(text: string): Buffer {
  return encodeMessage({ body: { kind: 'text', value: text } })
}

// A loop that waits for what never comes ends here.
const timeout = 30_000

suite('rhea as client', { timeout }, () => {
  test('sends, and hears each outcome', async () => {
    const outcomes = ['accepted', 'rejected', 'released', 'modified'] as const
    const texts: unknown[] = []
    const { port, hosts } = await serve((session) => {
      session.onAttach = (link) => {
        link.accept()
        if (link.role === 'sender') return
        link.grant(100)
        link.events = {
          detached() {},
          transfer(part) {
            texts.push(decodeMessage(part.bytes, part.start, part.end).body.value)
            const kind = outcomes[part.id % 4]!
            if (kind === 'rejected')
              link.settle(part.id, part.id, { kind, error: { condition: 'a:b', description: 'c' } })
            else if (kind === 'modified')
              link.settle(part.id, part.id, { kind, deliveryFailed: true, undeliverableHere: true })
            else link.settle(part.id, part.id, { kind })
          },
        }
      }
    })
    const { connection } = dial(port)
    const sender = connection.open_sender('q')
    const heard: string[] = []
    for (const outcome of outcomes) {
      sender.on(outcome, ({ delivery }: EventContext) => {
        // To rhea what is modified is released as well.
        if (outcome !== 'released' || delivery!.id % 4 === 2) heard.push(`${outcome} ${delivery!.id}`)
      })
    }
    await event(sender, 'sendable')
    for (let i = 0; i < 40; i++) sender.send({ body: `text ${i}` })
    while (heard.length < 40) await event(sender, 'settled')
    assert.deepEqual(
      texts,
      Array.from({ length: 40 }, (_, i) => `text ${i}`),
    )
    assert.deepEqual(
      heard.toSorted(),
      Array.from({ length: 40 }, (_, i) => `${outcomes[i % 4]} ${i}`).toSorted(),
    )
    connection.close()
    await event(connection, 'connection_close')
    assert.deepEqual(hosts[0]?.log, ['closed peer'])
    assert.equal(hosts[0]?.remote?.containerId, 'stranger')
  })

  test('receives with credit, drains, and settles', async () => {
    const { port, hosts } = await serve((session) => {
      session.onAttach = (link) => {
        link.accept()
      }
    })
    const { connection } = dial(port)
    const receiver = connection.open_receiver({ source: 'q', credit_window: 0, autoaccept: false })
    await event(receiver, 'receiver_open')
    const bodies: string[] = []
    receiver.on('message', ({ message: received, delivery }: EventContext) => {
      bodies.push(received!.body)
      delivery!.accept()
    })
    receiver.add_credit(10)
    const recorded = hosts[0]!.sessions[0]!.senders[0]!
    while (recorded.link.credit === 0) await new Promise((resolve) => setImmediate(resolve))
    for (let i = 0; i < 3; i++) {
      const bytes = message(`m${i}`)
      recorded.link.send(i === 1, 0, null, null, bytes, 0, bytes.length)
    }
    receiver.drain_credit()
    while (!recorded.link.draining) await new Promise((resolve) => setImmediate(resolve))
    const drained = event(receiver, 'receiver_drained')
    recorded.link.drained()
    await drained
    assert.deepEqual(bodies, ['m0', 'm1', 'm2'])
    const settled = () => recorded.log.filter((line) => line.includes('settled'))
    while (settled().length < 2) await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(settled(), ['accepted 0-0 settled', 'accepted 2-2 settled'])
    receiver.close()
    await event(receiver, 'receiver_close')
    assert.equal(recorded.log.at(-1), 'detached closed')
    connection.close()
    await event(connection, 'connection_close')
  })

  test('large messages go in many small frames, both ways', async () => {
    const text = 'Grüße '.repeat(40_000)
    const { port, hosts } = await serve(
      (session) => {
        session.onAttach = (link) => {
          link.accept()
          if (link.role === 'receiver') link.grant(10)
        }
      },
      { maxFrameSize: 1024, incomingWindow: 16 },
    )
    const { connection } = dial(port, { max_frame_size: 700 })
    const sender = connection.open_sender('q')
    const receiver = connection.open_receiver('q')
    await event(sender, 'sendable')
    const delivery = sender.send({ body: text })
    const { receivers, senders } = hosts[0]!.sessions[0]!
    while (receivers[0]!.deliveries.length === 0) await new Promise((resolve) => setImmediate(resolve))
    receivers[0]!.link.settle(0, 0, { kind: 'accepted' })
    await event(sender, 'accepted')
    assert.equal(delivery.settled, true)
    assert(receivers[0]!.parts.length > 200)
    const received = Buffer.from(receivers[0]!.deliveries[0]!, 'latin1')
    assert.equal(decodeMessage(received).body.value, text)
    const heard = event(receiver, 'message')
    const bytes = message(text)
    senders[0]!.link.send(false, 0, null, null, bytes, 0, bytes.length)
    assert.equal((await heard).message?.body, text)
    connection.close()
    await event(connection, 'connection_close')
  })

  test('is told why a link, a session or its connection is refused', async () => {
    const { port, hosts } = await serve((session) => {
      session.onAttach = (link) => link.refuse({ condition: 'amqp:not-found', description: 'no such queue' })
    })
    const { connection } = dial(port)
    const sender = connection.open_sender('q')
    const { sender: refused } = await event(sender, 'sender_error')
    const { condition, description } = refused!.error as { condition: string; description: string }
    assert.deepEqual([condition, description], ['amqp:not-found', 'no such queue'])
    hosts[0]!.sessions[0]!.session.end({ condition: 'amqp:resource-deleted' })
    await event(connection, 'session_error')
    hosts[0]!.peer.close({ condition: 'amqp:connection:forced', description: 'going down' })
    await event(connection, 'connection_error')
    assert.equal((connection.error as { condition?: string }).condition, 'amqp:connection:forced')
  })

  test('authenticates by PLAIN, and is refused with a wrong password', async () => {
    const { port, hosts } = await serve(() => {}, { sasl: plain })
    const { connection } = dial(port, { username: 'ada', password: 'secret' })
    await event(connection, 'connection_open')
    assert.equal(hosts[0]?.identity, 'ada')
    connection.close()
    await event(connection, 'connection_close')
    const { connection: other } = dial(port, { username: 'ada', password: 'guess' })
    const { error } = await event(other, 'connection_error')
    assert.match(String(error), /authenticate/i)
    assert.equal(hosts[1]?.by, 'authentication')
    assert.equal(hosts[1]?.remote, undefined)
  })
})

suite('rhea as server', { timeout }, () => {
  /** A rhea server, and a peer of ours connected to it. */
  async function meet(container: Container): Promise<Host> {
    const server = container.listen({ port: 0, host: '127.0.0.1' })
    servers.push(server)
    await once(server, 'listening')
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
    const host = new Host(socket, { role: 'client' })
    host.isClient = true
    host.peer.open({ containerId: 'ours', hostname: 'localhost' })
    host.peer.start()
    while (!host.remote) await new Promise((resolve) => setImmediate(resolve))
    return host
  }

  test('we send, it accepts; it sends, we accept; all is closed in good order', async () => {
    const container = rhea.create_container({ id: 'theirs', autoaccept: false })
    const bodies: string[] = []
    let settled = 0
    container.on('message', ({ message: received, delivery }: EventContext) => {
      bodies.push(received!.body)
      delivery!.accept()
    })
    container.on('sendable', ({ sender }: EventContext) => {
      while (sender!.sendable()) sender!.send({ body: 'from rhea' })
    })
    container.on('accepted', () => settled++)
    const host = await meet(container)
    assert.equal(host.remote?.containerId, 'theirs')
    const session = host.begin()
    const sender = session.sender({ name: 'out' })
    const receiver = session.receiver({ name: 'in' })
    while (sender.link.credit === 0) await new Promise((resolve) => setImmediate(resolve))
    for (let i = 0; i < 20; i++) {
      const bytes = message(`m${i}`)
      sender.link.send(false, 0, null, null, bytes, 0, bytes.length)
    }
    receiver.link.grant(5)
    while (receiver.deliveries.length < 5) await new Promise((resolve) => setImmediate(resolve))
    receiver.link.settle(receiver.ids[0]!, receiver.ids[4]!, { kind: 'accepted' })
    const accepted = () => sender.log.filter((line) => line.startsWith('accepted'))
    const count = () =>
      accepted().reduce((sum, line) => {
        const [first, last] = /(\d+)-(\d+)/.exec(line)!.slice(1).map(Number)
        return sum + last! - first! + 1
      }, 0)
    while (count() < 20 || settled < 5) await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(
      bodies,
      Array.from({ length: 20 }, (_, i) => `m${i}`),
    )
    assert.equal(decodeMessage(Buffer.from(receiver.deliveries[0]!, 'latin1')).body.value, 'from rhea')
    sender.link.detach(true)
    while (sender.log.at(-1) !== 'confirmed') await new Promise((resolve) => setImmediate(resolve))
    session.session.end()
    host.peer.close()
    while (!host.by) await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual([host.log, session.log], [['closed local'], ['begun', 'ended']])
  })

  test('a refused link is heard', async () => {
    const container = rhea.create_container({ id: 'theirs' })
    container.on('receiver_open', ({ receiver }: EventContext) => {
      receiver!.close({ condition: 'amqp:not-found', description: 'nothing here' })
    })
    const host = await meet(container)
    const sender = host.begin().sender()
    while (!sender.error) await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(sender.error, {
      condition: 'amqp:not-found',
      description: 'nothing here',
      info: undefined,
    })
    host.peer.close()
    while (!host.by) await new Promise((resolve) => setImmediate(resolve))
  })
})
