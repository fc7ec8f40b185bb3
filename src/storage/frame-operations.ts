import { OPERATION_HEADER } from '../engine/ports/operations.ts'
import type { FrameHeader } from './format.ts'

/**
 * Visits the operations of a frame whose payload is bytes[from, to). A visitor gets the LSN, the type and where the body
 * lies; the header of the operation lies in front of it. Stops where the bytes do not fit the grammar.
 */
export function forEachOperation(
  header: FrameHeader,
  bytes: Buffer,
  from: number,
  to: number,
  visit: (lsn: number, type: number, start: number, end: number) => void,
): void {
  let lsn = header.firstLsn
  let at = from
  for (let i = 0; i < header.count && at + OPERATION_HEADER <= to; i++) {
    const word = bytes.readUInt32LE(at)
    // The frame names its first LSN; the distance in its first operation is to one in another frame.
    if (i > 0) lsn += word >>> 8
    const start = at + OPERATION_HEADER
    at = start + bytes.readUInt32LE(at + 4)
    if (at > to) return
    visit(lsn, word & 0xff, start, at)
  }
}
