import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { Gathering } from '../../src/client/amqp/gathering.ts'

/** Bytes that say where they belong. */
function pattern(size: number, seed: number): Buffer {
  return Buffer.from(Uint8Array.from({ length: size }, (_, i) => (i * 31 + (i >> 8) + seed) & 0xff))
}

test('what comes in parts of any size is put together, each message in memory of its own', () => {
  const gatherings = [new Gathering(), new Gathering()]
  const done: [Buffer, Buffer][] = []
  for (const part of [1_000, 65_000, 65_536, 70_000, 200_000]) {
    for (const size of [part, part + 1, 150_000, 400_000]) {
      const sent = gatherings.map((_, i) => pattern(size, size + i))
      for (let at = 0; at < size; at += part) {
        const end = Math.min(size, at + part)
        for (const [i, gathering] of gatherings.entries()) {
          if (end < size) gathering.add(sent[i]!, at, end)
          else done.push([gathering.finish(sent[i]!, at, end), sent[i]!])
          assert.equal(gathering.empty, end === size)
        }
      }
    }
  }
  for (const [whole, sent] of done) assert.ok(whole.equals(sent), `${sent.length} bytes`)
})

test('parts of what was given up are not in the next one', () => {
  const gathering = new Gathering()
  gathering.add(pattern(100_000, 1), 0, 100_000)
  gathering.clear()
  assert.ok(gathering.empty)
  const next = pattern(1_000, 2)
  gathering.add(next, 0, 500)
  assert.ok(gathering.finish(next, 500, 1_000).equals(next))
})
