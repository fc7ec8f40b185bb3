/** Memory that is written into again, when whoever took it says so and not before. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Output, recycle, type TakenOutput } from '../../src/wire/amqp10/peer/output.ts'
import { bytesOf } from './raw.ts'

const MUCH = 200_000

interface Written {
  readonly taken: TakenOutput
  readonly piece: Uint8Array
}

function written(output: Output, byte: number, size = MUCH): Written {
  output.raw(Buffer.alloc(size, byte), 0, size)
  const taken = output.take()!
  assert.equal(taken.pieces.length, 1)
  return { taken, piece: taken.pieces[0]! }
}

test('what was taken stays as it is, until it is recycled', () => {
  const output = new Output()
  const first = written(output, 1)
  const second = written(output, 2)
  assert.notEqual(first.piece.buffer, second.piece.buffer)
  assert(first.piece.every((byte) => byte === 1))
  recycle(first.taken)
  const third = written(new Output(), 3)
  assert.equal(third.piece.buffer, first.piece.buffer, 'any connection may have it')
  const fourth = written(output, 4)
  assert(![first.piece.buffer, second.piece.buffer].includes(fourth.piece.buffer))
  assert(second.piece.every((byte) => byte === 2))
})

test('output that outgrows its block goes on in another: both are whole, and nobody else’s until it is recycled', () => {
  const output = new Output()
  output.raw(Buffer.alloc(MUCH, 5), 0, MUCH)
  output.raw(Buffer.alloc(MUCH, 6), 0, MUCH)
  assert.equal(output.length, 2 * MUCH)
  const taken = output.take()!
  assert.equal(taken.length, 2 * MUCH)
  written(new Output(), 7)
  assert(bytesOf(taken).every((byte, index) => byte === (index < MUCH ? 5 : 6)))
  const mine = new Set(taken.pieces.map(({ buffer }) => buffer))
  assert.equal(mine.size, 2)
  recycle(taken)
  for (let i = 0; i < 2; i++) assert(mine.has(written(new Output(), 7).piece.buffer))
})

test('a block in which there is little is left to others when much comes', () => {
  const output = new Output()
  written(output, 5)
  output.raw(Buffer.alloc(1_000, 5), 0, 1_000)
  const block = output.bytes.buffer
  output.raw(Buffer.alloc(2 * MUCH, 6), 0, 2 * MUCH)
  assert.equal(written(new Output(), 7).piece.buffer, block)
  assert(bytesOf(output.take()!).every((byte, index) => byte === (index < 1_000 ? 5 : 6)))
})

test('what is referred to is not copied, stands where it was said, and its memory is never written into', () => {
  // As large as a block of output is.
  const lent = Buffer.alloc(0x40000, 8)
  const output = new Output()
  for (const byte of [1, 2]) {
    output.raw(Buffer.alloc(10, byte), 0, 10)
    output.refer(lent, 0, lent.length)
  }
  output.raw(Buffer.alloc(10, 3), 0, 10)
  assert.equal(output.length, 30 + 2 * lent.length)
  const taken = output.take()!
  assert.equal(taken.length, 30 + 2 * lent.length)
  assert.equal(output.length, 0)
  assert.deepEqual(
    taken.pieces.map((piece) => [piece[0], piece.length]),
    [
      [1, 10],
      [8, lent.length],
      [2, 10],
      [8, lent.length],
      [3, 10],
    ],
  )
  assert.equal(taken.pieces[1]!.buffer, lent.buffer)
  recycle(taken)
  for (let i = 0; i < 10; i++) written(new Output(), 9)
  assert(lent.every((byte) => byte === 8))
})

test('no more is kept than a few blocks, and nothing of what is larger', () => {
  const taken = Array.from({ length: 40 }, () => written(new Output(), 1))
  for (const each of taken) recycle(each.taken)
  const again = new Set(Array.from({ length: 40 }, () => written(new Output(), 2).piece.buffer))
  const kept = taken.filter(({ piece }) => again.has(piece.buffer)).length
  assert(kept > 0 && kept <= 8, `${kept} blocks were kept`)
  const other = written(new Output(), 3, 300_000)
  recycle(other.taken)
  written(new Output(), 4, 300_000)
  assert(other.piece.every((byte) => byte === 3))
})

test('output of every size is written where output of about that size was', () => {
  for (const size of [100, 1_000, 5_000, 20_000, 50_000, 100_000]) {
    const first = written(new Output(), 1, size)
    recycle(first.taken)
    const second = written(new Output(), 2, size - 10)
    assert.equal(second.piece.buffer, first.piece.buffer, `${size} bytes`)
    assert(second.piece.buffer.byteLength < 6 * size, `${size} bytes`)
  }
})

test('little output is written where that of another connection was, once that is recycled', () => {
  const first = written(new Output(), 1, 100)
  const second = written(new Output(), 2, 100)
  assert(first.piece.every((byte) => byte === 1))
  recycle(first.taken)
  const third = written(new Output(), 3, 200)
  assert.equal(third.piece.buffer, first.piece.buffer)
  assert(second.piece.every((byte) => byte === 2))
})

test('little output that outgrows its block leaves it to others, and is whole', () => {
  const output = new Output()
  output.raw(Buffer.alloc(500, 1), 0, 500)
  const block = output.bytes.buffer
  output.raw(Buffer.alloc(500, 2), 0, 500)
  assert.equal(written(new Output(), 3, 100).piece.buffer, block)
  assert(bytesOf(output.take()!).every((byte, index) => byte === (index < 500 ? 1 : 2)))
})
