import type { OperationBatch } from '../engine/ports/operations.ts'
import { assert } from '../model/errors.ts'
import { FRAME_BYTES, FrameHeader, frameSpan, MAX_PAYLOAD, padding, writeFrameHeader } from './format.ts'
import type { Segment } from './segment.ts'

/** Most bytes that are allocated behind what is written. */
export const MOST_AHEAD: number = 64 * 1024
const zeros = Buffer.alloc(MOST_AHEAD)

/** What goes out in one vectored write: frames around slices of batches, which are not copied. */
export class Round {
  readonly buffers: Uint8Array[] = []
  /** Position in the segment file of the first byte, and of the byte after the last. */
  readonly start: number
  end: number
  lastLsn = 0
  /** Bytes of operations, to be taken off the unsynced ones when the round is durable. */
  operationBytes = 0
  /** Zeros that go out behind the frames and do not belong to the round. */
  ahead = 0
  readonly segment: Segment
  private readonly header = new FrameHeader()

  constructor(segment: Segment, start: number, durableLsn: number, epoch: number) {
    this.segment = segment
    this.start = start
    this.end = start
    this.header.mark = durableLsn
    this.header.epoch = epoch
  }

  get bytes(): number {
    return this.end - this.start
  }

  /** Bytes that are no frame: the header of the file. */
  prepend(bytes: Uint8Array): void {
    this.buffers.push(bytes)
    this.end += bytes.length
  }

  add(batch: OperationBatch): void {
    let from = 0
    while (from < batch.count) from = this.addFrame(batch, from)
    this.lastLsn = batch.lsns[batch.count - 1]!
    this.operationBytes += batch.length
  }

  /** A frame without operations, which says what was durable when it was written. */
  addMark(): void {
    const { header } = this
    header.length = 0
    header.count = 0
    header.firstLsn = header.mark
    header.lastLsn = header.mark
    this.buffers.push(writeFrameHeader(header, zeros.subarray(0, 0), this.segment.number, this.end))
    this.end += frameSpan(0)
  }

  /** Lets `count` zeros follow, at most MOST_AHEAD; nothing can be added after that. */
  allocate(count: number): void {
    this.ahead = count
    this.buffers.push(zeros.subarray(0, count))
  }

  /** Goes out without the zeros, where there is no room for them. */
  doWithout(): void {
    this.ahead = 0
    this.buffers.pop()
  }

  /** Frames operations from `from` on, until the frame is large enough; answers the operation after it. */
  private addFrame(batch: OperationBatch, from: number): number {
    const start = batch.offsets[from]!
    let to = from + 1
    while (to < batch.count && batch.offsets[to]! - start < FRAME_BYTES) to++
    const end = to < batch.count ? batch.offsets[to]! : batch.length
    assert(end - start <= MAX_PAYLOAD, 'an operation fits a frame')
    const payload = batch.bytes.subarray(start, end)
    const { header } = this
    header.length = end - start
    header.count = to - from
    header.firstLsn = batch.lsns[from]!
    header.lastLsn = batch.lsns[to - 1]!
    this.buffers.push(writeFrameHeader(header, payload, this.segment.number, this.end), payload)
    const pad = padding(header.length)
    if (pad > 0) this.buffers.push(zeros.subarray(0, pad))
    const next = this.end + frameSpan(header.length)
    this.segment.table.note(0, header.firstLsn, this.end, next)
    this.end = next
    return to
  }
}
