import { OPERATION_HEADER } from '../engine/ports/operations.ts'
import type { DiskIo } from './disk-io.ts'
import { FILE_HEADER } from './format.ts'
import { forEachOperation } from './frame-operations.ts'
import { FrameScanner } from './frame-scanner.ts'
import type { DamageReport } from './quarantine.ts'
import type { Segment } from './segment.ts'
import type { SurveyedFile } from './survey.ts'

/** Operations of a cluster, put back in the order of their LSNs. */
export interface ClusterContent {
  readonly bytes: Buffer
  /** Rising. */
  readonly lsns: Float64Array
  /** Start of each operation (its header) in `bytes`. */
  readonly starts: Uint32Array
}

/**
 * Reads a whole cluster into memory, for a start without any checkpoint: only then must survivors be found in the
 * files themselves. Fills the table of `segment`.
 */
export async function readCluster(
  io: DiskIo,
  file: SurveyedFile,
  segment: Segment,
  damaged: (report: DamageReport) => Promise<void>,
): Promise<ClusterContent> {
  const { file: opened } = await io.open(file.path, 'read')
  const scanner = new FrameScanner(io, opened, file.number, Math.min(FILE_HEADER, file.size), file.size)
  const pieces: Buffer[] = []
  const lsns: number[] = []
  const starts: number[] = []
  let length = 0
  for (let frame = await scanner.next(); frame; frame = await scanner.next()) {
    const { header, start, end } = frame
    if (!frame.whole) {
      const reason = 'no whole frame'
      await damaged({ file: file.path, offset: start, length: end - start, reason })
      continue
    }
    segment.table.note(header.mark, header.firstLsn, start, end)
    const payload = Buffer.from(frame.bytes.subarray(frame.payloadStart, frame.payloadEnd))
    pieces.push(payload)
    const base = length
    forEachOperation(header, payload, 0, payload.length, (lsn, _type, from) => {
      lsns.push(lsn)
      starts.push(base + from - OPERATION_HEADER)
    })
    length += payload.length
  }
  await io.close(opened)
  return inOrder(Buffer.concat(pieces), lsns, starts)
}

/** The lowest and the highest LSN in a cluster; undefined when nothing in it is whole. */
export async function rangeOfCluster(
  io: DiskIo,
  file: SurveyedFile,
): Promise<{ first: number; last: number } | undefined> {
  const { file: opened } = await io.open(file.path, 'read')
  const scanner = new FrameScanner(io, opened, file.number, Math.min(FILE_HEADER, file.size), file.size)
  let first = Number.POSITIVE_INFINITY
  let last = 0
  for (let frame = await scanner.next(); frame; frame = await scanner.next()) {
    if (!frame.whole) continue
    first = Math.min(first, frame.header.firstLsn)
    last = Math.max(last, frame.header.lastLsn)
  }
  await io.close(opened)
  return last > 0 ? { first, last } : undefined
}

function inOrder(bytes: Buffer, lsns: readonly number[], starts: readonly number[]): ClusterContent {
  const order = Uint32Array.from(lsns.keys()).sort((a, b) => lsns[a]! - lsns[b]!)
  return {
    bytes,
    lsns: Float64Array.from(order, (index) => lsns[index]!),
    starts: Uint32Array.from(order, (index) => starts[index]!),
  }
}
