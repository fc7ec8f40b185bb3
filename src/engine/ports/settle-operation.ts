import type { ByteWriter, OperationReader } from './operations.ts'

/** How messages left a queue, as written in settle operations. */
export const departures = [
  'accepted',
  'expired',
  'dead-lettered',
  'dropped',
  'purged',
  'quarantined',
  'moved',
  'rolled-back',
  'cancelled',
  'replaced',
] as const

/**
 * settle := varint queue | u8 departure | varint n, (varint gap, varint length)[n]
 *   | of the schedule: varint m, varint target[m]        (the queues that they were for)
 *
 * Run i covers `length` consecutive LSNs starting `gap` after the end of run i - 1 (of LSN 0 at first).
 * Every LSN in a run is a message that the queue held. Queue 0 stands for chunks of a body that was given up.
 * `below` is the operation's own LSN: what it settles came before it, so damaged bytes cannot name a run without end.
 */
export function forEachSettled(
  reader: OperationReader,
  visit: (lsn: number) => void,
  below: number = Number.MAX_SAFE_INTEGER,
): boolean {
  forEachInRuns(reader, visit, below)
  return !reader.failed
}

/** runs := varint n, (varint gap, varint length)[n] */
export function forEachInRuns(reader: OperationReader, visit: (lsn: number) => void, below: number): void {
  const runs = reader.varint()
  let lsn = 0
  for (let i = 0; i < runs && !reader.failed; i++) {
    lsn += reader.varint()
    const length = reader.varint()
    if (lsn + length > below) reader.failed = true
    if (reader.failed) break
    for (let j = 0; j < length; j++) visit(lsn++)
  }
}

/** Writes LSNs, all different and rising, as forEachInRuns reads them. */
export function writeRuns(writer: ByteWriter, lsns: Float64Array): void {
  writer.putVarint(countRuns(lsns))
  let end = 0
  for (let from = 0; from < lsns.length; ) {
    let to = from + 1
    while (to < lsns.length && lsns[to] === lsns[to - 1]! + 1) to++
    writer.putVarint(lsns[from]! - end)
    writer.putVarint(to - from)
    end = lsns[to - 1]! + 1
    from = to
  }
}

function countRuns(lsns: Float64Array): number {
  let runs = lsns.length === 0 ? 0 : 1
  for (let i = 1; i < lsns.length; i++) if (lsns[i] !== lsns[i - 1]! + 1) runs++
  return runs
}
