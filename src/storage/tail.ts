import type { Clock } from '../engine/ports/clock.ts'
import type { OperationBatch } from '../engine/ports/operations.ts'
import { OperationType } from '../engine/ports/operations.ts'
import type { Slice } from '../engine/ports/store.ts'

/**
 * Who reads lately is found out anew when so many bytes have come in and so many milliseconds have passed, or when it were too
 * many bytes; of what all readers have passed the fewer are kept. Long enough for readers who do not come in every turn, and so
 * short that most batches are gone when young memory is collected: copying those that were still kept made the pauses long.
 */
const LATELY = { bytes: 2 ** 16, milliseconds: 20, mostBytes: 2 ** 20 }

/**
 * The newest batches, so that a message just published is read without a disk. Dropped oldest first, once written: those that
 * are too much, and those that all have passed who read lately. They would hardly be asked for again, and the collector, which
 * takes memory that has become old for growth, would search the whole heap for each few megabytes of them.
 */
export class Tail {
  private readonly clock: Clock
  private readonly limit: number
  private batches: (OperationBatch | undefined)[] = []
  private first = 0
  /** In memory. */
  bytes = 0
  /** Batches that have been dropped, of which the row knows nothing any more: the number of a batch counts them too. */
  private forgotten = 0
  /** Where the last message was found: the next one is likely to follow. */
  private hint: OperationBatch | undefined
  private hintIndex = 0
  /** Number of the oldest batch that was read lately, and in the time before. */
  private oldestRead = Number.POSITIVE_INFINITY
  private oldestReadBefore = 0
  /** Bytes that came in since `lookedBack`. */
  private added = 0
  private lookedBack = 0

  constructor(clock: Clock, limit: number) {
    this.clock = clock
    this.limit = limit
  }

  add(batch: OperationBatch, writtenLsn: number): void {
    if (!holdsMessages(batch)) return
    this.batches.push(batch)
    this.bytes += batch.bytes.length
    this.added += batch.bytes.length
    if (this.added > LATELY.bytes) this.lookBack()
    if (this.bytes > Math.min(this.limit, LATELY.bytes)) this.trim(writtenLsn)
  }

  private lookBack(): void {
    const now = this.clock.monotonic()
    if (now - this.lookedBack < LATELY.milliseconds && this.added <= LATELY.mostBytes) return
    this.lookedBack = now
    this.added = 0
    this.oldestReadBefore = this.oldestRead
    this.oldestRead = Number.POSITIVE_INFINITY
  }

  find(lsn: number, into: Slice): boolean {
    const hint = this.hint
    if (hint) {
      const next = this.hintIndex + 1
      if (next < hint.count && hint.lsns[next] === lsn && isMessage(hint.types[next]!)) {
        return this.found(hint, next, into)
      }
    }
    const at = this.placeOf(lsn)
    if (at < 0) return false
    const batch = this.batches[at]!
    const index = indexOf(batch, lsn)
    if (index < 0) return false
    this.oldestRead = Math.min(this.oldestRead, this.forgotten + at)
    return this.found(batch, index, into)
  }

  private found(batch: OperationBatch, index: number, into: Slice): boolean {
    this.hint = batch
    this.hintIndex = index
    into.bytes = batch.bytes
    into.start = batch.bodyStart(index)
    into.end = batch.bodyEnd(index)
    return true
  }

  private trim(writtenLsn: number): void {
    const passed = Math.min(this.oldestRead, this.oldestReadBefore)
    while (this.first < this.batches.length) {
      const isPassed = this.forgotten + this.first < passed && passed < Number.POSITIVE_INFINITY
      if (this.bytes <= (isPassed ? Math.min(this.limit, LATELY.bytes) : this.limit)) break
      const oldest = this.batches[this.first]!
      if (oldest.lsns[oldest.count - 1]! > writtenLsn) break
      if (oldest === this.hint) this.hint = undefined
      this.bytes -= oldest.bytes.length
      this.batches[this.first++] = undefined
    }
    if (this.first * 2 < this.batches.length) return
    this.batches = this.batches.slice(this.first)
    this.forgotten += this.first
    this.first = 0
  }

  /** In the row: of the batch that the LSN lies in, if it is there; -1: it is older than all. */
  private placeOf(lsn: number): number {
    let low = this.first
    let high = this.batches.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.batches[middle]!.lsns[0]! <= lsn) low = middle + 1
      else high = middle
    }
    return low > this.first ? low - 1 : -1
  }
}

/** Whether operations of this type can be asked for. */
export function isMessage(type: number): boolean {
  return type === OperationType.publish || type === OperationType.chunk
}

function holdsMessages(batch: OperationBatch): boolean {
  for (let i = 0; i < batch.count; i++) if (isMessage(batch.types[i]!)) return true
  return false
}

function indexOf(batch: OperationBatch, lsn: number): number {
  let low = 0
  let high = batch.count - 1
  while (low <= high) {
    const middle = (low + high) >>> 1
    const other = batch.lsns[middle]!
    if (other === lsn && isMessage(batch.types[middle]!)) return middle
    if (other < lsn) low = middle + 1
    else high = middle - 1
  }
  return -1
}
