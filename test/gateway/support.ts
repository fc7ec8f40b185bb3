import { strict as assert } from 'node:assert'
import type { EngineOptions } from '../../src/engine/options.ts'
import type { AmqpConnection } from '../../src/gateway/amqp10/connection.ts'
import { AmqpGateway } from '../../src/gateway/amqp10/gateway.ts'
import type { ConnectionEnd, ConnectionOptions, GatewayOptions } from '../../src/gateway/amqp10/host.ts'
import type { MessageContent } from '../../src/model/message.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { encodeMessage } from '../../src/wire/amqp10/message-encoder.ts'
import { MessageView } from '../../src/wire/amqp10/message-view.ts'
import type { LocalAttach, PeerOptions, TransferPart } from '../../src/wire/amqp10/peer/events.ts'
import { type OpenFields, Peer, type PeerSession } from '../../src/wire/amqp10/peer/peer.ts'
import {
  type AmqpError,
  type Attach,
  accepted,
  type DeliveryState,
  type Fields,
  noFields,
  type Open,
  type Source,
  type Target,
} from '../../src/wire/amqp10/peer/performatives.ts'
import type { ReceiverLink } from '../../src/wire/amqp10/peer/receiver-link.ts'
import type { SenderLink } from '../../src/wire/amqp10/peer/sender-link.ts'
import { Reader } from '../../src/wire/amqp10/reader.ts'
import type { AmqpSymbol } from '../../src/wire/amqp10/values.ts'
import { Bench } from '../engine/support.ts'
import { bytesOf } from '../wire/raw.ts'

/** A broker with its gateway under a virtual clock, and clients of the same peer machine, with nothing but calls in between. */
export class GatewayBench {
  readonly bench: Bench
  readonly gateway: AmqpGateway

  private constructor(bench: Bench, options: Partial<GatewayOptions>) {
    this.bench = bench
    this.gateway = new AmqpGateway(bench.broker, {
      containerId: 'broker',
      version: '0.0.0',
      clock: bench.clock,
      random: new SeededRandom(1),
      ...options,
    })
  }

  static async start(
    options: Partial<GatewayOptions> = {},
    engine: EngineOptions = {},
  ): Promise<GatewayBench> {
    return new GatewayBench(await Bench.inMemory(engine), options)
  }

  static on(bench: Bench, options: Partial<GatewayOptions> = {}): GatewayBench {
    return new GatewayBench(bench, options)
  }

  /** A client that has opened and begun a session. */
  async client(
    open: Partial<OpenFields> = {},
    peer: Partial<PeerOptions> = {},
    host: Partial<ConnectionOptions> = {},
    heard: Client['heard'] = () => {},
  ): Promise<Client> {
    const client = new Client(this, peer, host)
    client.heard = heard
    client.peer.start()
    client.peer.open({ containerId: `client-${++containers}`, ...open })
    await this.idle()
    if (client.opened && client.end === undefined) {
      client.session = client.peer.begin({
        attached: () => assert.fail('the broker attaches nothing'),
        ended: () => {},
      })
    }
    await this.idle()
    return client
  }

  /** A client that says nothing by itself. */
  mute(): Client {
    return new Client(this, {}, {})
  }

  idle(): Promise<void> {
    return this.bench.idle()
  }
}

let containers = 0

export class Client {
  readonly peer: Peer
  readonly hosted: AmqpConnection
  session!: PeerSession
  opened: Open | undefined
  /** How the connection ended, on the client's side and on the broker's. */
  end: { error: AmqpError | undefined; by: string } | undefined
  hostEnd: ConnectionEnd | undefined
  readonly faults: unknown[] = []
  resumed = 0
  /** Told what the client says. */
  heard: (bytes: Buffer) => void = () => {}
  /** While true, nothing is read from the broker. */
  deaf = false
  private readonly bench: GatewayBench

  constructor(bench: GatewayBench, peer: Partial<PeerOptions>, host: Partial<ConnectionOptions>) {
    this.bench = bench
    const { clock } = bench.bench
    this.hosted = bench.gateway.connect({
      remote: 'test',
      now: clock.monotonic(),
      events: {
        writable: () => clock.defer(() => this.toClient()),
        resumed: () => this.resumed++,
        ended: (end) => {
          this.hostEnd = end
        },
        faulted: (cause) => this.faults.push(cause),
      },
      ...host,
    })
    this.peer = new Peer(
      { role: 'client', now: clock.monotonic(), ...peer },
      {
        writable: () => clock.defer(() => this.toBroker()),
        authenticated: () => {},
        opened: (open) => {
          this.opened = open
        },
        sessionBegun: () => assert.fail('the broker begins no session'),
        closed: (error, by) => {
          this.end = { error, by }
        },
      },
    )
  }

  private toBroker(): void {
    const output = this.peer.takeOutput()
    if (!output) return
    const bytes = bytesOf(output)
    this.heard(bytes)
    this.hosted.receive(bytes)
  }

  toClient(): void {
    if (this.deaf) return
    const output = this.hosted.takeOutput()
    if (output) this.peer.receive(bytesOf(output))
  }

  /** A link that sends; `attached` is what the broker answered. */
  async sender(attach: Partial<LocalAttach> & { address?: string | null } = {}): Promise<TestSender> {
    const { address, ...rest } = attach
    const sender = new TestSender(this.bench)
    sender.link = this.session.attachSender(
      {
        name: `sender-${++links}`,
        source: source({}),
        target: target({ address: address ?? null }),
        ...rest,
      },
      sender,
    )
    await this.bench.idle()
    return sender
  }

  async receiver(
    attach: Partial<LocalAttach> & { address?: string | null; credit?: number } = {},
  ): Promise<TestReceiver> {
    const { address, credit = 0, ...rest } = attach
    const receiver = new TestReceiver(this.bench)
    receiver.link = this.session.attachReceiver(
      {
        name: `receiver-${++links}`,
        source: source({ address: address ?? null }),
        target: target({}),
        ...rest,
      },
      receiver,
    )
    if (credit > 0) receiver.link.grant(credit)
    await this.bench.idle()
    return receiver
  }

  async close(): Promise<void> {
    this.peer.close()
    await this.bench.idle()
  }
}

let links = 0

export function source(fields: Partial<Source>): Source {
  return { ...terminus, outcomes: [], ...fields }
}

export function target(fields: Partial<Target>): Target {
  return { ...terminus, ...fields }
}

const terminus = {
  address: null,
  durable: 'none',
  expiryPolicy: 'session-end',
  timeout: 0,
  dynamic: false,
  capabilities: [],
} as const

class TestLink {
  protected readonly bench: GatewayBench
  attach: Attach | undefined
  detach: { closed: boolean; error: AmqpError | undefined } | undefined
  confirmed = false

  constructor(bench: GatewayBench) {
    this.bench = bench
  }

  attached(attach: Attach): void {
    this.attach = attach
  }

  detached(closed: boolean, error: AmqpError | undefined): void {
    this.detach = { closed, error }
  }

  detachConfirmed(): void {
    this.confirmed = true
  }

  /** The condition with which the broker has detached. */
  get refusal(): string | undefined {
    return this.detach?.error?.condition
  }
}

export class TestSender extends TestLink {
  link!: SenderLink
  /** By delivery-id: 'accepted', or the condition of a rejection, or another state. */
  readonly outcomes: Map<number, string> = new Map()
  readonly states: Map<number, DeliveryState | undefined> = new Map()
  readonly told: Fields[] = []

  flow(properties?: Fields): void {
    if (properties && properties.size > 0) this.told.push(properties)
  }

  disposition(first: number, last: number, state: DeliveryState | undefined, settled: boolean): void {
    assert.ok(settled, 'the broker settles what it decides')
    for (let id = first; id <= last; id++) {
      this.outcomes.set(
        id,
        state?.kind === 'rejected' ? (state.error?.condition ?? '') : (state?.kind ?? 'none'),
      )
      this.states.set(id, state)
    }
  }

  /** Sends a message, one at a time; answers its outcome, undefined when there is none. */
  async send(content: MessageContent | string, options: SendOptions = {}): Promise<string | undefined> {
    const id = this.put(content, options)
    await this.bench.idle()
    return this.outcomes.get(id)
  }

  put(
    content: MessageContent | string,
    { settled = false, tag = null, prefix = null, state }: SendOptions = {},
  ): number {
    const bytes = encodeMessage(
      typeof content === 'string' ? { body: { kind: 'text', value: content } } : content,
    )
    return this.link.send(settled, 0, tag, prefix, bytes, 0, bytes.length, state)
  }
}

interface SendOptions {
  settled?: boolean
  tag?: Uint8Array | null
  prefix?: Uint8Array | null
  state?: DeliveryState
}

export interface Received {
  readonly id: number
  readonly settled: boolean
  readonly text: unknown
  readonly header: readonly unknown[]
  readonly annotations: ReadonlyMap<string, unknown>
  /** What follows header and delivery annotations. */
  readonly payload: Uint8Array
  readonly view: MessageView
}

export class TestReceiver extends TestLink {
  link!: ReceiverLink
  readonly received: Received[] = []
  /** Settlements that the broker has answered, by delivery-id. */
  readonly answers: Map<number, string> = new Map()
  lapsed: number | undefined
  aborted = 0
  /** Bytes of deliveries, when they are not to be kept. */
  counted = 0
  counting = false
  private parts: Uint8Array[] = []

  transfer(part: TransferPart): void {
    if (this.counting) {
      this.counted += part.end - part.start
    } else {
      this.parts.push(Uint8Array.from(part.bytes.subarray(part.start, part.end)))
    }
    if (part.more) return
    const bytes = Buffer.concat(this.parts)
    this.parts = []
    if (part.aborted) this.aborted++
    else if (!this.counting) this.received.push(read(part, bytes))
  }

  disposition(first: number, last: number, state: DeliveryState | undefined, settled: boolean): void {
    assert.ok(settled)
    for (let id = first; id <= last; id++) this.answers.set(id, state?.kind ?? 'none')
  }

  drained(lapsed: number): void {
    this.lapsed = lapsed
  }

  /** The texts received since the last call. */
  async take(): Promise<unknown[]> {
    await this.bench.idle()
    return this.received.splice(0).map(({ text }) => text)
  }

  async takeOne(): Promise<Received> {
    await this.bench.idle()
    assert.equal(this.received.length, 1, 'exactly one delivery')
    return this.received.shift()!
  }

  async settle(delivery: { id: number }, state: DeliveryState = accepted, settled = true): Promise<void> {
    this.link.settle(delivery.id, delivery.id, state, settled)
    await this.bench.idle()
  }

  async leave(closed: boolean): Promise<void> {
    this.link.detach(closed)
    await this.bench.idle()
  }
}

function read(part: TransferPart, bytes: Buffer): Received {
  const reader = new Reader(bytes)
  let header: readonly unknown[] = []
  const annotations = new Map<string, unknown>()
  let payloadStart = 0
  for (;;) {
    const code = reader.descriptor()
    if (code === 0x70) header = reader.value() as unknown[]
    else if (code === 0x71) {
      for (const [key, value] of reader.value() as Map<AmqpSymbol, unknown>) annotations.set(key.value, value)
    } else break
    payloadStart = reader.at
  }
  const view = new MessageView(bytes, 0, bytes.length)
  const { body } = view
  return {
    id: part.id,
    settled: part.settled,
    text: body.value,
    header,
    annotations,
    payload: Uint8Array.from(bytes.subarray(payloadStart)),
    view,
  }
}

export { noFields }
