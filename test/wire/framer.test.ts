/** How a byte stream is cut (core 2.2, 2.3). */
import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import { Framer, type FrameSink } from '../../src/wire/amqp10/peer/framer.ts'

/** Collects copies of frames. */
class Sink implements FrameSink {
  readonly expectsHeader = false
  readonly over = false
  readonly largestFrame = 0x10000
  readonly largestPause = 0x10000
  paused = false
  readonly frames: Buffer[] = []
  /** What happens within the handing over of a frame, before it is looked at. */
  meanwhile: () => void = () => {}

  header(): void {
    assert.fail('no header is expected')
  }
  frame(bytes: Buffer, start: number, end: number): void {
    this.meanwhile()
    this.frames.push(Buffer.from(bytes.subarray(start, end)))
  }
  malformed(what: string): void {
    assert.fail(what)
  }
}

function frame(size: number, fill: string): Buffer {
  const bytes = Buffer.alloc(size, fill)
  bytes.writeUInt32BE(size)
  return bytes
}

/** Not by deepEqual, which takes long to say how large buffers differ. */
function assertSame(seen: readonly Buffer[], sent: readonly Buffer[]): void {
  assert.equal(seen.length, sent.length)
  for (const [i, bytes] of sent.entries()) assert.ok(bytes.equals(seen[i]!), `frame ${i}`)
}

suite('frames that come in pieces', () => {
  test('of several streams at once, of any size: each stream gets its own', () => {
    const streams = ['a', 'b', 'c'].map((fill) => {
      const sink = new Sink()
      const frames = [65_536, 8, 30_000, 17_000, 65_536, 1_000].map((size) => frame(size, fill))
      return { sink, framer: new Framer(sink), frames, bytes: Buffer.concat(frames) }
    })
    for (const step of [7_001, 20_000, 50_000, 65_536, 100_000]) {
      for (const { sink } of streams) sink.frames.length = 0
      for (let at = 0; at < streams[0]!.bytes.length; at += step) {
        for (const { framer, bytes } of streams) framer.feed(bytes, at, Math.min(bytes.length, at + step))
      }
      for (const { sink, frames } of streams) assertSame(sink.frames, frames)
    }
  })

  test('the memory of one is nobody else’s while it is handed over', () => {
    const [one, other] = [new Sink(), new Sink()]
    const [framer, neighbour] = [new Framer(one), new Framer(other)]
    const [mine, theirs] = [frame(40_000, 'm'), frame(40_000, 't')]
    one.meanwhile = () => {
      neighbour.feed(theirs, 0, 20_000)
      neighbour.feed(theirs, 20_000, 40_000)
    }
    framer.feed(mine, 0, 20_000)
    framer.feed(mine, 20_000, 40_000)
    assertSame([...one.frames, ...other.frames], [mine, theirs])
  })

  test('what came during a pause is whole after it', () => {
    const [one, other] = [new Sink(), new Sink()]
    const [framer, neighbour] = [new Framer(one), new Framer(other)]
    const [mine, theirs] = [frame(40_000, 'm'), frame(40_000, 't')]
    one.paused = true
    framer.feed(mine, 0, 40_000)
    one.meanwhile = () => {
      neighbour.feed(theirs, 0, 20_000)
      neighbour.feed(theirs, 20_000, 40_000)
    }
    one.paused = false
    framer.resume()
    assertSame([...one.frames, ...other.frames], [mine, theirs])
  })
})
