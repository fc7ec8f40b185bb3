/** Transactions on the wire (core part 4): what is said to a coordinator, and the states that belong to a transaction. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import rhea from 'rhea'
import { encodeDeclare, encodeDischarge, readCoordination } from '../../src/wire/amqp10/coordination.ts'
import { FrameDecoder } from '../../src/wire/amqp10/peer/frame-decoder.ts'
import { beginTransfer } from '../../src/wire/amqp10/peer/frame-writer.ts'
import { Output } from '../../src/wire/amqp10/peer/output.ts'
import { readState } from '../../src/wire/amqp10/peer/state-codec.ts'
import { readTarget } from '../../src/wire/amqp10/peer/terminus-codec.ts'
import { AmqpSymbol, Described } from '../../src/wire/amqp10/values.ts'
import { Pair } from './pair.ts'
import { bytesOf } from './raw.ts'

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000)
const ids = fc.uint8Array({ minLength: 1, maxLength: 40 })

const read = (bytes: Uint8Array) => readCoordination(bytes, 0, bytes.length)

interface RheaTypes {
  wrap_described(value: unknown, descriptor: number): unknown
  wrap_binary(bytes: Buffer): unknown
  Writer: new () => { write(value: unknown): void; toBuffer(): Buffer }
  Reader: new (bytes: Buffer) => { read(): { descriptor: { value: unknown }; value: { value: unknown }[] } }
}
const types = rhea.types as unknown as RheaTypes
const VALUE_SECTION = Buffer.from([0x00, 0x53, 0x77])

/** A described list as rhea writes it. */
function described(code: number, fields: unknown[]): Buffer {
  const writer = new types.Writer()
  writer.write(types.wrap_described(fields, code))
  return writer.toBuffer()
}

/** The same as the body of a message. */
function byRhea(code: number, fields: unknown[]): Buffer {
  return Buffer.concat([VALUE_SECTION, described(code, fields)])
}

/** What rhea finds in a message of ours. */
function bodyForRhea(bytes: Uint8Array): { code: number; fields: unknown[] } {
  const body = new types.Reader(Buffer.from(bytes.subarray(VALUE_SECTION.length))).read()
  return { code: Number(body.descriptor.value), fields: body.value.map(({ value }) => value) }
}

test(`4.5.6 and 4.5.7: declare and discharge come back, and rhea reads and writes the same (SEED=${seed})`, () => {
  assert.deepEqual(read(encodeDeclare()), { kind: 'declare', global: false })
  assert.deepEqual(bodyForRhea(encodeDeclare()), { code: 0x31, fields: [] })
  assert.deepEqual(read(byRhea(0x31, [])), { kind: 'declare', global: false })
  assert.deepEqual(read(byRhea(0x31, [types.wrap_binary(Buffer.from('xa'))])), {
    kind: 'declare',
    global: true,
  })
  fc.assert(
    fc.property(ids, fc.boolean(), (transaction, fail) => {
      const sent = { kind: 'discharge' as const, transaction, fail }
      const bytes = encodeDischarge(transaction, fail)
      assert.deepEqual(read(bytes), sent)
      const { code, fields } = bodyForRhea(bytes)
      assert.equal(code, 0x32)
      assert.deepEqual(new Uint8Array(fields[0] as Buffer), transaction)
      assert.equal(fields[1], fail)
      const theirs = Buffer.concat([
        described(0x70, [true]),
        byRhea(0x32, [types.wrap_binary(Buffer.from(transaction)), fail]),
      ])
      assert.deepEqual(read(theirs), sent)
    }),
    { seed, numRuns: 100 },
  )
})

test('4.5.7: a discharge that does not say fail commits', () => {
  const theirs = byRhea(0x32, [types.wrap_binary(Buffer.from([7]))])
  assert.deepEqual(read(theirs), { kind: 'discharge', transaction: Uint8Array.of(7), fail: false })
})

test(`what is no word to a coordinator is refused as a message, whatever it is (SEED=${seed})`, () => {
  const wrong = [
    Buffer.alloc(0),
    rhea.message.encode({ body: 'declare' }),
    byRhea(0x33, []),
    byRhea(0x32, []),
    byRhea(0x32, ['text']),
    byRhea(0x32, [types.wrap_binary(Buffer.from([7])), 'yes']),
  ]
  for (const bytes of wrong) assert.throws(() => read(bytes), { code: 'message-invalid' })
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      try {
        read(bytes)
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'message-invalid')
      }
    }),
    { seed, numRuns: 500 },
  )
})

test('4.5.8: the outcome within a transactional state is not one itself', () => {
  const id = Uint8Array.of(1)
  const nested = (outcome: unknown) => new Described(0x34n, [id, outcome])
  assert.throws(() => readState(nested(nested(null))), { condition: 'amqp:invalid-field' })
  assert.throws(() => readState(new Described(0x34n, [])), { condition: 'amqp:invalid-field' })
  assert.deepEqual(readState(nested(new Described(new AmqpSymbol('amqp:accepted:list'), []))), {
    kind: 'transactional',
    transaction: id,
    outcome: { kind: 'accepted' },
  })
})

test('4.5.1: a coordinator is a target, with what it can do', () => {
  assert.deepEqual(readTarget(new Described(0x30n, [new AmqpSymbol('amqp:local-transactions')])), {
    coordinator: true,
    capabilities: ['amqp:local-transactions'],
  })
})

test(`4.4.1: frames of one transaction have one state, those of another their own (SEED=${seed})`, () => {
  const decoder = new FrameDecoder()
  const stateOf = (transaction: Uint8Array) => {
    const output = new Output()
    const head = {
      id: 1,
      tag: null,
      format: 0,
      settled: false,
      state: { kind: 'transactional' as const, transaction },
    }
    beginTransfer(output, 0, 0, head, 0)
    output.endFrame(0)
    const bytes = bytesOf(output.take()!)
    decoder.decode(bytes, 8, bytes.length)
    return decoder.transfer.state
  }
  fc.assert(
    fc.property(fc.array(ids, { minLength: 2, maxLength: 6 }), (several) => {
      for (const transaction of several) {
        const first = stateOf(transaction)
        assert.deepEqual(first, { kind: 'transactional', transaction, outcome: undefined })
        if (transaction.length < 40) assert.equal(stateOf(transaction), first)
      }
    }),
    { seed, numRuns: 200 },
  )
})

test('4.4: posting, retiring and their answers go through the peers', () => {
  const pair = new Pair()
  const [sender, receiver] = pair.sending(10)
  const transaction = Uint8Array.of(1, 2, 3)
  const posted = { kind: 'transactional' as const, transaction }
  for (let i = 0; i < 3; i++) sender.link.send(false, 0, null, null, Buffer.from('x'), 0, 1, posted)
  pair.pump()
  const states = receiver.parts.map(({ state }) => state)
  assert.deepEqual(states, Array(3).fill({ ...posted, outcome: undefined }))
  const answer = { ...posted, outcome: { kind: 'accepted' as const } }
  for (let id = 0; id < 3; id++) receiver.link.settle(id, id, answer)
  pair.pump()
  assert.equal(sender.log.at(-1), 'transactional 0-2 settled')
  assert.deepEqual(sender.states.at(-1), answer)
})
