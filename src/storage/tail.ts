import type { OperationBatch } from '../engine/ports/operations.ts'
import { OperationType } from '../engine/ports/operations.ts'
import type { Slice } from '../engine/ports/store.ts'

/** The newest batches, so that a message just published is read without a disk. Dropped oldest first, once written. */
export class Tail {
  private readonly limit: number
  private batches: (OperationBatch | undefined)[] = []
  private first = 0
  private bytes = 0
  /** Where the last message was found: the next one is likely to follow. */
  private hint: OperationBatch | undefined
  private hintIndex = 0

  constructor(limit: number) {
    this.limit = limit
  }

  add(batch: OperationBatch, writtenLsn: number): void {
    if (!holdsMessages(batch)) return
    this.batches.push(batch)
    this.bytes += batch.bytes.length
    if (this.bytes > this.limit) this.trim(writtenLsn)
  }

  find(lsn: number, into: Slice): boolean {
    const hint = this.hint
    if (hint) {
      const next = this.hintIndex + 1
      if (next < hint.count && hint.lsns[next] === lsn && isMessage(hint.types[next]!)) {
        return this.found(hint, next, into)
      }
    }
    const batch = this.batchOf(lsn)
    if (!batch) return false
    const index = indexOf(batch, lsn)
    return index >= 0 && this.found(batch, index, into)
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
    while (this.bytes > this.limit && this.first < this.batches.length) {
      const oldest = this.batches[this.first]!
      if (oldest.lsns[oldest.count - 1]! > writtenLsn) break
      if (oldest === this.hint) this.hint = undefined
      this.bytes -= oldest.bytes.length
      this.batches[this.first++] = undefined
    }
    if (this.first * 2 < this.batches.length) return
    this.batches = this.batches.slice(this.first)
    this.first = 0
  }

  private batchOf(lsn: number): OperationBatch | undefined {
    let low = this.first
    let high = this.batches.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.batches[middle]!.lsns[0]! <= lsn) low = middle + 1
      else high = middle
    }
    return low > this.first ? this.batches[low - 1] : undefined
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
