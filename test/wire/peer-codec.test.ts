/** Performatives, against another implementation of them, and streams cut anywhere. */
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import fc from 'fast-check'
import { FrameDecoder } from '../../src/wire/amqp10/peer/frame-decoder.ts'
import { writeDisposition } from '../../src/wire/amqp10/peer/frame-writer.ts'
import { Output } from '../../src/wire/amqp10/peer/output.ts'
import {
  encodeAttach,
  encodeBegin,
  encodeClose,
  encodeDetach,
  encodeOpen,
} from '../../src/wire/amqp10/peer/performative-encoder.ts'
import type { Attach, DeliveryState, Open, Source, Target } from '../../src/wire/amqp10/peer/performatives.ts'
import { Pair } from './pair.ts'
import { bytesOf, frameOf } from './raw.ts'

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000)
const require = createRequire(import.meta.url)

type Performative = Record<string, unknown>
interface Frames {
  read_frame(bytes: Buffer): { channel: number; performative: Performative; payload?: Buffer }
  write_frame(frame: unknown): Buffer
  amqp_frame(channel: number, performative: unknown, payload?: Buffer): unknown
  [name: string]: (...parameters: never[]) => unknown
}
const rhea: Frames = require('rhea/lib/frames.js')

/** What rhea reads from a frame with that body. */
function read(body: Uint8Array): Performative {
  const { performative } = rhea.read_frame(frameOf(body))
  return performative
}

/** Our decoding of what rhea writes. */
function decode(name: string, fields: object, payload = Buffer.alloc(0)): FrameDecoder {
  const create = rhea[name] as (fields: object) => unknown
  const bytes = rhea.write_frame(rhea.amqp_frame(3, create(fields), payload))
  assert.equal(bytes.readUInt16BE(6), 3)
  const decoder = new FrameDecoder()
  decoder.decode(bytes, 8, bytes.length)
  return decoder
}

const text = fc.string({ unit: 'binary', maxLength: 300 }).filter((value) => value.isWellFormed())
/** With the prototype that decoded objects have. */
function record<T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>
}

const symbolText = fc.stringMatching(/^[a-z:-]{1,40}$/)
const symbols = fc.array(symbolText, { maxLength: 4 })
const uint = fc.oneof(fc.constantFrom(0, 1, 255, 256, 0xffff_ffff), fc.nat(), fc.nat(255))
const fields = fc
  .array(fc.tuple(symbolText, fc.oneof(text, fc.boolean(), fc.integer())), { maxLength: 3 })
  .map((entries) => new Map<string, unknown>(entries))
const error = record({
  condition: symbolText,
  description: fc.option(text, { nil: undefined }),
  info: fields,
})
const transaction = fc.uint8Array({ minLength: 1, maxLength: 40 })
const plainState: fc.Arbitrary<DeliveryState> = fc.oneof(
  fc.constant({ kind: 'accepted' as const }),
  fc.constant({ kind: 'released' as const }),
  record({ kind: fc.constant('rejected' as const), error: fc.option(error, { nil: undefined }) }),
  record({
    kind: fc.constant('modified' as const),
    deliveryFailed: fc.boolean(),
    undeliverableHere: fc.boolean(),
    messageAnnotations: fc.option(fields, { nil: undefined }),
  }),
  record({ kind: fc.constant('received' as const), sectionNumber: uint, sectionOffset: uint }),
  record({ kind: fc.constant('declared' as const), transaction }),
)
const state: fc.Arbitrary<DeliveryState> = fc.oneof(
  plainState,
  record({
    kind: fc.constant('transactional' as const),
    transaction,
    outcome: fc.option(plainState, { nil: undefined }),
  }),
)
const terminus = {
  address: fc.option(text, { nil: null }),
  durable: fc.constantFrom('none', 'configuration', 'unsettled-state' as const),
  expiryPolicy: fc.constantFrom('link-detach', 'session-end', 'connection-close', 'never' as const),
  timeout: uint,
  dynamic: fc.boolean(),
  dynamicNodeProperties: fc.option(fields, { nil: undefined }),
  capabilities: symbols,
}
const target: fc.Arbitrary<Target> = record(terminus)
const source: fc.Arbitrary<Source> = record({
  ...terminus,
  distributionMode: fc.constantFrom('move', 'copy', undefined),
  filter: fc.option(fields, { nil: undefined }),
  defaultOutcome: fc.option(state, { nil: undefined }),
  outcomes: symbols,
})
const open: fc.Arbitrary<Open> = record({
  containerId: text,
  hostname: fc.option(text, { nil: undefined }),
  maxFrameSize: uint,
  channelMax: fc.nat(0xffff),
  idleTimeOut: uint,
  offeredCapabilities: symbols,
  desiredCapabilities: symbols,
  properties: fields,
})
const attach: fc.Arbitrary<Attach> = record({
  name: text,
  role: fc.constantFrom('sender', 'receiver' as const),
  sndSettleMode: fc.constantFrom('unsettled', 'settled', 'mixed' as const),
  rcvSettleMode: fc.constantFrom('first', 'second' as const),
  source: fc.option(source, { nil: null }),
  target: fc.option(target, { nil: null }),
  maxMessageSize: fc.maxSafeNat(),
  offeredCapabilities: symbols,
  desiredCapabilities: symbols,
  properties: fields,
})

/** Ours, decoded by ours: everything comes back. */
function back(body: Uint8Array): unknown {
  const bytes = Buffer.from(body)
  const decoder = new FrameDecoder()
  decoder.decode(bytes, 0, bytes.length)
  return decoder.seldom?.value
}

/** Multiple symbols as rhea shows them: undefined, or an array. */
function many(values: readonly string[]): unknown {
  return values.length === 0 ? undefined : values
}

/** Null as rhea shows it. */
function shown(value: unknown): unknown {
  return value ?? undefined
}

function plain(value: unknown): unknown {
  return value === undefined ? undefined : { ...(value as object) }
}

test(`2.7.1: an open comes back, and rhea reads the same (SEED=${seed})`, () => {
  fc.assert(
    fc.property(open, (sent) => {
      const body = encodeOpen(sent)
      const theirs = read(body)
      assert.deepEqual(back(body), sent)
      assert.equal(theirs['container_id'], sent.containerId)
      assert.equal(shown(theirs['hostname']), sent.hostname)
      assert.equal(theirs['max_frame_size'], sent.maxFrameSize)
      assert.equal(theirs['channel_max'], sent.channelMax)
      assert.equal(theirs['idle_time_out'] ?? 0, sent.idleTimeOut)
      assert.deepEqual(shown(theirs['offered_capabilities']), many(sent.offeredCapabilities))
      assert.deepEqual(plain(theirs['properties']), Object.fromEntries(sent.properties))
    }),
    { seed, numRuns: 300 },
  )
})

test(`2.7.3: an attach comes back, and rhea reads the same (SEED=${seed})`, () => {
  fc.assert(
    fc.property(attach, uint, uint, (sent, handle, count) => {
      const body = encodeAttach(sent, handle, count)
      const theirs = read(body)
      const initialDeliveryCount = sent.role === 'receiver' ? 0 : count
      assert.deepEqual(back(body), { attach: sent, handle, initialDeliveryCount })
      assert.equal(theirs['name'], sent.name)
      assert.equal(theirs['handle'], handle)
      assert.equal(theirs['role'], sent.role === 'receiver')
      assert.equal(theirs['snd_settle_mode'], ['unsettled', 'settled', 'mixed'].indexOf(sent.sndSettleMode))
      assert.equal(theirs['rcv_settle_mode'], sent.rcvSettleMode === 'second' ? 1 : 0)
      assert.equal(theirs['initial_delivery_count'] ?? 0, initialDeliveryCount)
      assert.equal(Number(theirs['max_message_size'] ?? 0), sent.maxMessageSize)
    }),
    { seed, numRuns: 500 },
  )
})

test(`2.7.2 to 2.7.9: begin, detach and close come back, and rhea reads the same (SEED=${seed})`, () => {
  fc.assert(
    fc.property(fc.option(fc.nat(0xffff)), uint, uint, uint, uint, (channel, ...numbers) => {
      const body = encodeBegin(channel ?? -1, ...numbers)
      const [nextOutgoingId, incomingWindow, outgoingWindow, handleMax] = numbers
      assert.deepEqual(back(body), {
        remoteChannel: channel ?? -1,
        nextOutgoingId,
        incomingWindow,
        outgoingWindow,
        handleMax,
      })
      const theirs = read(body)
      assert.equal(theirs['remote_channel'] ?? null, channel)
      assert.deepEqual(
        ['next_outgoing_id', 'incoming_window', 'outgoing_window', 'handle_max'].map((name) => theirs[name]),
        numbers,
      )
    }),
    { seed, numRuns: 200 },
  )
  fc.assert(
    fc.property(uint, fc.boolean(), fc.option(error, { nil: undefined }), (handle, closed, why) => {
      const body = encodeDetach(handle, closed, why)
      assert.deepEqual(back(body), { handle, closed, error: why })
      const theirs = read(body)
      assert.deepEqual([theirs['handle'], theirs['closed']], [handle, closed])
      assert.deepEqual(back(encodeClose(why)), why)
      const close = read(encodeClose(why))['error'] as Performative | undefined
      assert.equal(shown(close?.['condition']), why?.condition)
      assert.equal(shown(close?.['description']), why?.description)
    }),
    { seed, numRuns: 300 },
  )
})

test(`2.7.4 and 2.7.5: flow and transfer of rhea are understood (SEED=${seed})`, () => {
  const maybe = fc.option(uint, { nil: undefined })
  const flow = record({
    next_incoming_id: maybe,
    incoming_window: uint,
    next_outgoing_id: uint,
    outgoing_window: uint,
    handle: maybe,
    delivery_count: maybe,
    link_credit: maybe,
    available: maybe,
    drain: fc.boolean(),
    echo: fc.boolean(),
  })
  fc.assert(
    fc.property(flow, (sent) => {
      const ours = decode('flow', sent).flow
      assert.deepEqual(
        [ours.nextIncomingId, ours.incomingWindow, ours.nextOutgoingId, ours.outgoingWindow, ours.handle],
        [
          sent.next_incoming_id ?? -1,
          sent.incoming_window,
          sent.next_outgoing_id,
          sent.outgoing_window,
          sent.handle ?? -1,
        ],
      )
      assert.deepEqual(
        [ours.deliveryCount, ours.linkCredit, ours.available, ours.drain, ours.echo],
        [sent.delivery_count ?? -1, sent.link_credit ?? -1, sent.available ?? -1, sent.drain, sent.echo],
      )
    }),
    { seed, numRuns: 300 },
  )
  const tag = fc.option(
    fc.uint8Array({ maxLength: 32 }).map((bytes) => Buffer.from(bytes)),
    { nil: undefined },
  )
  const transfer = record({
    handle: uint,
    delivery_id: maybe,
    delivery_tag: tag,
    message_format: maybe,
    settled: fc.boolean(),
    more: fc.boolean(),
    aborted: fc.boolean(),
    batchable: fc.boolean(),
  })
  fc.assert(
    fc.property(transfer, fc.uint8Array(), (sent, payload) => {
      const { transfer: ours } = decode('transfer', sent, Buffer.from(payload))
      assert.deepEqual(
        [ours.handle, ours.deliveryId, ours.format, ours.settled, ours.more, ours.aborted],
        [
          sent.handle,
          sent.delivery_id ?? -1,
          sent.message_format ?? -1,
          sent.settled,
          sent.more,
          sent.aborted,
        ],
      )
      assert.equal(ours.tagStart < 0 ? undefined : ours.tagEnd - ours.tagStart, sent.delivery_tag?.length)
    }),
    { seed, numRuns: 300 },
  )
})

test(`2.7.6 and 3.4: dispositions come back, and rhea reads the same (SEED=${seed})`, () => {
  const maybe = fc.option(state, { nil: undefined })
  fc.assert(
    fc.property(fc.boolean(), uint, uint, fc.boolean(), maybe, (receiver, first, last, settled, given) => {
      const output = new Output()
      const write = (body: Uint8Array) => output.frame(0, 0, body)
      writeDisposition({ output, channel: 0, write }, receiver, first, last, settled, given)
      const bytes = bytesOf(output.take()!)
      const decoder = new FrameDecoder()
      decoder.decode(bytes, 8, bytes.length)
      const ours = decoder.disposition
      assert.deepEqual(
        [ours.receiver, ours.first, ours.last, ours.settled, ours.state],
        [receiver, first, last, settled, given],
      )
      const theirs = rhea.read_frame(bytes).performative
      assert.deepEqual(
        [theirs['role'], theirs['first'], theirs['last'], theirs['settled']],
        [receiver, first, last, settled],
      )
      const code =
        given &&
        {
          received: 0x23,
          accepted: 0x24,
          rejected: 0x25,
          released: 0x26,
          modified: 0x27,
          declared: 0x33,
          transactional: 0x34,
          unknown: 0,
        }[given.kind]
      const descriptor = (theirs['state'] as { descriptor?: { value: unknown } } | null)?.descriptor
      assert.equal(descriptor === undefined ? undefined : Number(descriptor.value), code)
    }),
    { seed, numRuns: 500 },
  )
})

test(`2.3: wherever a stream is cut, the same is heard (SEED=${seed})`, () => {
  const sizes = fc.array(fc.oneof(fc.constant(1), fc.nat({ max: 9 }), fc.nat({ max: 700 })), { minLength: 1 })
  fc.assert(
    fc.property(sizes, fc.array(fc.nat({ max: 3000 }), { maxLength: 20 }), (cuts, payloads) => {
      let turn = 0
      const pair = new Pair({ maxFrameSize: 700 }, { maxFrameSize: 900, incomingWindow: 5 })
      pair.cut = (bytes) => {
        const chunks: Uint8Array[] = []
        for (let at = 0; at < bytes.length; ) {
          const size = 1 + cuts[turn++ % cuts.length]!
          chunks.push(bytes.slice(at, at + size))
          at += size
        }
        return chunks
      }
      const [sender, receiver] = pair.sending(100)
      for (const size of payloads) sender.send('x'.repeat(size))
      pair.pump()
      receiver.link.settle(0, 1000, { kind: 'accepted' })
      sender.link.detach(true)
      pair.client.peer.close()
      pair.pump()
      assert.deepEqual(
        receiver.deliveries.map((delivery) => delivery?.length),
        payloads,
      )
      assert.deepEqual([pair.client.by, pair.server.by, pair.server.error], ['local', 'peer', undefined])
    }),
    { seed, numRuns: 60 },
  )
})
