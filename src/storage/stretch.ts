import type { Slice } from '../engine/ports/store.ts'
import {
  ALIGNMENT,
  FRAME_HEADER,
  FrameHeader,
  findFrameMagic,
  frameIsWhole,
  readFrameHeader,
} from './format.ts'
import { forEachOperation } from './frame-operations.ts'
import { isMessage } from './tail.ts'

/** Bytes of a stretch that are no whole frame. Positions are in the file. */
export interface Damage {
  readonly start: number
  readonly end: number
}

/** The messages and chunks in a stretch of a segment file, read and checked, and where their bodies lie. */
export class Stretch {
  readonly bytes: Buffer
  /** Position after the stretch in its file; the last stretch of a growing segment is read again when it has grown. */
  readonly end: number
  damage: readonly Damage[] = []
  /** Rising. */
  private lsns: Float64Array
  private starts: Uint32Array
  private ends: Uint32Array
  private count = 0
  private hint = 0

  /** `bytes` lie at `position` of segment `segment`. */
  constructor(bytes: Buffer, position: number, segment: number) {
    this.bytes = bytes
    this.end = position + bytes.length
    const room = Math.max(4, bytes.length >>> 7)
    this.lsns = new Float64Array(room)
    this.starts = new Uint32Array(room)
    this.ends = new Uint32Array(room)
    this.parse(position, segment)
  }

  find(lsn: number, into: Slice): boolean {
    const index = this.indexOf(lsn)
    if (index < 0) return false
    this.hint = index
    into.bytes = this.bytes
    into.start = this.starts[index]!
    into.end = this.ends[index]!
    return true
  }

  private indexOf(lsn: number): number {
    const next = this.hint + 1
    if (next < this.count && this.lsns[next] === lsn) return next
    // Where nothing but messages was written, it is where its number says.
    const guess = lsn - this.lsns[0]!
    if (guess >= 0 && guess < this.count && this.lsns[guess] === lsn) return guess
    let low = 0
    let high = this.count - 1
    while (low <= high) {
      const middle = (low + high) >>> 1
      const other = this.lsns[middle]!
      if (other === lsn) return middle
      if (other < lsn) low = middle + 1
      else high = middle - 1
    }
    return -1
  }

  private parse(position: number, segment: number): void {
    const { bytes } = this
    const header = new FrameHeader()
    const damage: Damage[] = []
    let at = 0
    while (at < bytes.length) {
      if (readFrameHeader(bytes, at, header) && frameIsWhole(bytes, at, header, segment, position + at)) {
        this.addFrame(at + FRAME_HEADER, header)
        at += header.span
        continue
      }
      const next = nextWhole(bytes, at + ALIGNMENT, header, segment, position)
      damage.push({ start: position + at, end: position + next })
      at = next
    }
    this.damage = damage
  }

  private addFrame(start: number, header: FrameHeader): void {
    forEachOperation(header, this.bytes, start, start + header.length, (lsn, type, from, to) => {
      if (isMessage(type)) this.note(lsn, from, to)
    })
  }

  private note(lsn: number, start: number, end: number): void {
    if (this.count === this.lsns.length) {
      const size = this.count * 2
      const lsns = new Float64Array(size)
      lsns.set(this.lsns)
      this.lsns = lsns
      this.starts = widened(this.starts, size)
      this.ends = widened(this.ends, size)
    }
    this.lsns[this.count] = lsn
    this.starts[this.count] = start
    this.ends[this.count++] = end
  }
}

/** Where the next whole frame begins, at or after `from`; the end of the bytes when there is none. */
function nextWhole(
  bytes: Buffer,
  from: number,
  header: FrameHeader,
  segment: number,
  position: number,
): number {
  for (let at = findFrameMagic(bytes, from); at >= 0; at = findFrameMagic(bytes, at + ALIGNMENT)) {
    if (readFrameHeader(bytes, at, header) && frameIsWhole(bytes, at, header, segment, position + at)) {
      return at
    }
  }
  return bytes.length
}

function widened(old: Uint32Array, size: number): Uint32Array {
  const grown = new Uint32Array(size)
  grown.set(old)
  return grown
}
