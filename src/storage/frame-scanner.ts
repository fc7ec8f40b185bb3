import type { DiskFile } from './disk.ts'
import type { DiskIo } from './disk-io.ts'
import {
  ALIGNMENT,
  FRAME_HEADER,
  FrameHeader,
  findFrameMagic,
  frameIsWhole,
  readFrameHeader,
} from './format.ts'

const WINDOW = 1024 * 1024

/** A whole frame, or bytes that are none. The object and its header are reused for the next one. */
export class ScannedFrame {
  whole = false
  /** Of bytes that are no frame: the disk did not give all of them. */
  unreadable = false
  /** In the file. */
  start = 0
  end = 0
  /** From here on there are zeros to its end; of bytes that reach to the end of the file the writer may have put them there. */
  zeros = 0
  readonly header: FrameHeader = new FrameHeader()
  /** The operations of a whole frame: payload[payloadStart, payloadEnd). */
  bytes: Buffer = Buffer.alloc(0)
  payloadStart = 0
  payloadEnd = 0

  /** Nothing was ever written here. */
  get isBlank(): boolean {
    return this.zeros === this.start
  }
}

/**
 * Reads the frames of a file one after the other, and finds the next whole one after damage by searching for its
 * magic. Holds one window of the file, or one frame, in memory: its own, or that of its owner, who has done with a frame
 * when he asks for the next.
 */
export class FrameScanner {
  private readonly io: DiskIo
  private readonly file: DiskFile
  private readonly segment: number
  private size: number
  private window: Buffer = Buffer.alloc(0)
  private windowStart = 0
  private windowUnreadable = false
  private position: number
  private readonly memory: Buffer | undefined
  private readonly found = new ScannedFrame()

  constructor(io: DiskIo, file: DiskFile, segment: number, from: number, size: number, memory?: Buffer) {
    this.io = io
    this.file = file
    this.segment = segment
    this.position = from
    this.size = size
    this.memory = memory
  }

  /** The next frame or damaged range; undefined at the end. */
  async next(): Promise<ScannedFrame | undefined> {
    if (this.position >= this.size) return undefined
    const { found } = this
    const start = this.position
    found.start = start
    this.found.unreadable = this.windowUnreadable && start < this.windowStart + this.window.length
    found.whole = await this.wholeAt(start)
    if (found.whole) {
      found.end = Math.min(this.size, start + found.header.span)
      found.bytes = this.window
      found.payloadStart = start - this.windowStart + FRAME_HEADER
      found.payloadEnd = found.payloadStart + found.header.length
      found.zeros = found.end
    } else {
      found.end = await this.resume(start)
      found.zeros = found.end === this.size ? await this.zerosAfter(start) : found.end
    }
    this.position = found.end
    return found
  }

  /** Where the next whole frame after a damaged one begins; the end of the file when there is none. */
  private async resume(damaged: number): Promise<number> {
    for (let at = damaged + ALIGNMENT; at < this.size; ) {
      await this.ensure(at, FRAME_HEADER)
      const offset = findFrameMagic(this.window, at - this.windowStart)
      if (offset < 0) {
        at = Math.max(at + ALIGNMENT, this.lastAligned())
        if (this.windowStart + this.window.length >= this.size) return this.size
        continue
      }
      at = this.windowStart + offset
      if (await this.wholeAt(at)) return at
      at += ALIGNMENT
    }
    return this.size
  }

  /** Where the zeros begin that reach from somewhere behind `from` to the end of the file. */
  private async zerosAfter(from: number): Promise<number> {
    let zeros = from
    for (let at = from; at < this.size; at = this.windowStart + this.window.length) {
      await this.ensure(at, 1)
      let last = this.window.length
      while (this.windowStart + last > at && this.window[last - 1] === 0) last--
      if (this.windowStart + last > at) zeros = this.windowStart + last
    }
    return this.found.unreadable ? this.size : zeros
  }

  /** First aligned position whose magic does not lie wholly in the window. */
  private lastAligned(): number {
    const end = this.windowStart + this.window.length
    return end - (end % ALIGNMENT)
  }

  private async wholeAt(position: number): Promise<boolean> {
    const { header } = this.found
    await this.ensure(position, FRAME_HEADER)
    if (!readFrameHeader(this.window, position - this.windowStart, header)) return false
    if (position + FRAME_HEADER + header.length > this.size) return false
    await this.ensure(position, FRAME_HEADER + header.length)
    return frameIsWhole(this.window, position - this.windowStart, header, this.segment, position)
  }

  private async ensure(position: number, length: number): Promise<void> {
    const end = Math.min(this.size, position + length)
    if (position >= this.windowStart && end <= this.windowStart + this.window.length) return
    const { memory } = this
    const size = Math.min(this.size - position, Math.max(memory?.length ?? WINDOW, length))
    const into = memory && size <= memory.length ? memory.subarray(0, size) : undefined
    const { bytes, unreadable } = await this.io.readPatiently(this.file, position, size, into)
    this.window = bytes
    this.windowStart = position
    this.windowUnreadable = unreadable
    if (unreadable) this.found.unreadable = true
    // Shorter than it was said to be: another process cut it.
    if (bytes.length < size) this.size = position + bytes.length
  }
}
