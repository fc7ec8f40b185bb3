import { beginTransfer, type DeliveryHead, opened, writeAbort } from './frame-writer.ts'
import type { Output } from './output.ts'
import type { DeliveryState } from './performatives.ts'
import { next } from './serial.ts'

/** Frames larger than this are not written, however large the other end takes them: they would hold up the others. */
const LARGEST_FRAME = 0x40000

/**
 * A payload of at least so many bytes is not copied, unless it is a small part of the memory that it lies in: one piece in
 * so many bytes would keep all of it for as long as the other end does not read.
 */
const REFERRED_BYTES = 16 * 1024
const REFERRED_SHARE = 1 / 8
/** Less than this is copied: a piece of its own costs more. */
const SMALLEST_PIECE = 2 * 1024

const nothing = new Uint8Array(0)

/** A delivery, or some of it, on its way; written parts move it on. */
class Part {
  handle = 0
  /** The head is written with the first frame of a delivery, and is then null. */
  head: DeliveryHead | null = null
  prefix: Uint8Array = nothing
  prefixAt = 0
  bytes: Uint8Array = nothing
  at = 0
  end = 0
  /** The bytes are handed on as they lie. */
  referred = false
  /** No more of this delivery comes after it. */
  last = false
  aborted = false
  /** Not a delivery: to be done when everything before it has been written. */
  act: (() => void) | undefined

  /** A copy that may wait: what the caller may reuse is copied, the payload is not. */
  keep(): Part {
    const kept = new Part()
    Object.assign(kept, this)
    if (this.head) kept.head = { ...this.head, tag: this.head.tag ? Uint8Array.from(this.head.tag) : null }
    kept.prefix = Uint8Array.from(this.prefix.subarray(this.prefixAt))
    kept.prefixAt = 0
    return kept
  }

  abort(): void {
    this.aborted = true
    this.prefix = this.bytes = nothing
  }
}

class Head implements DeliveryHead {
  id = 0
  tag: Uint8Array | null = null
  format = 0
  settled = false
  state: DeliveryState | undefined
}

/** Both belong to whoever is sending at the moment; nothing is called between filling and writing them. */
const passing = new Part()
const passingHead = new Head()

/** The transfers of a session on their way out: cut into frames, held up when the other end's window is closed. */
export class TransferQueue {
  /** Of the next transfer frame. */
  nextId: number
  /** Frames that the other end takes at present. */
  window = 0
  private readonly output: Output
  private readonly channel: number
  private waiting: Part[] = []

  constructor(output: Output, channel: number, firstId: number) {
    this.output = output
    this.channel = channel
    this.nextId = firstId
  }

  get congested(): boolean {
    return this.waiting.length > 0
  }

  holds(handle: number): boolean {
    return this.waiting.some((part) => part.handle === handle)
  }

  /** The head for the delivery that is about to be sent; valid until the next call. */
  head(
    id: number,
    tag: Uint8Array | null,
    format: number,
    settled: boolean,
    state: DeliveryState | undefined,
  ): DeliveryHead {
    const head = passingHead
    head.id = id
    head.tag = tag
    head.format = format
    head.settled = settled
    head.state = state
    return head
  }

  /** Sends `prefix` and bytes[start, end); what the window does not allow waits. */
  send(
    maxFrameSize: number,
    handle: number,
    head: DeliveryHead | null,
    prefix: Uint8Array | null,
    bytes: Uint8Array,
    start: number,
    end: number,
    last: boolean,
  ): void {
    const part = passing
    part.handle = handle
    part.head = head
    part.prefix = prefix ?? nothing
    part.prefixAt = 0
    part.bytes = bytes
    part.at = start
    part.end = end
    part.referred = end - start >= REFERRED_BYTES && end - start >= bytes.buffer.byteLength * REFERRED_SHARE
    part.last = last
    part.aborted = false
    if (this.waiting.length > 0 || !this.write(part, maxFrameSize)) this.waiting.push(part.keep())
    part.bytes = part.prefix = nothing
  }

  /** Ends the delivery that is under way on `handle`. */
  abort(maxFrameSize: number, handle: number): void {
    const part = passing
    part.handle = handle
    part.head = null
    part.abort()
    if (this.waiting.length > 0 || !this.write(part, maxFrameSize)) this.waiting.push(part.keep())
  }

  /** Runs `act` when everything has been written that waits. */
  after(handle: number, act: () => void): void {
    const part = new Part()
    part.handle = handle
    part.act = act
    this.waiting.push(part)
  }

  /**
   * Nobody wants what waits for `handle` any more. Its deliveries have their ids, which must not be left out: they go as
   * aborted ones, without their bytes.
   */
  cutOff(handle: number): void {
    let aborted = false
    this.waiting = this.waiting.filter((part) => {
      if (part.handle !== handle) return true
      if (part.head === null && aborted) return false
      part.abort()
      aborted = true
      return true
    })
  }

  clear(): void {
    this.waiting = []
  }

  /** Writes what the window allows. */
  resume(maxFrameSize: number): void {
    let done = 0
    for (const part of this.waiting) {
      if (part.act) part.act()
      else if (!this.write(part, maxFrameSize)) break
      done++
    }
    if (done > 0) this.waiting.splice(0, done)
  }

  /** False when the window closed before the end of `part`. */
  private write(part: Part, maxFrameSize: number): boolean {
    const largest = Math.min(maxFrameSize, LARGEST_FRAME)
    do {
      if (this.window === 0) return false
      this.window--
      this.nextId = next(this.nextId)
      if (part.aborted) {
        writeAbort(this.output, this.channel, part.handle, part.head)
        return true
      }
      this.writeFrame(part, largest)
    } while (part.at < part.end || part.prefixAt < part.prefix.length)
    return true
  }

  private writeFrame(part: Part, largest: number): void {
    const { output } = this
    const ahead = part.prefix.length - part.prefixAt
    const size = ahead + part.end - part.at
    const refer = part.referred && Math.min(size, largest) - ahead >= SMALLEST_PIECE
    beginTransfer(output, this.channel, part.handle, part.head, refer ? ahead : Math.min(size, largest))
    part.head = null
    const { frame, more } = opened
    let room = Math.min(size, largest - (output.at - frame))
    output.bytes[more] = room < size || !part.last ? 0x41 : 0x42
    if (ahead > 0) {
      const end = Math.min(part.prefix.length, part.prefixAt + room)
      output.copy(part.prefix, part.prefixAt, end)
      room -= end - part.prefixAt
      part.prefixAt = end
    }
    const { bytes, at } = part
    part.at += room
    if (refer) {
      output.endFrame(frame, room)
      output.refer(bytes, at, part.at)
    } else {
      output.copy(bytes, at, part.at)
      output.endFrame(frame)
    }
  }
}
