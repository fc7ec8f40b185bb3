import { ByteWriter, OperationReader } from '../ports/operations.ts'
import type { DueEntry } from './due-entry.ts'

/**
 * Entries of a run as they lie in one page, by rising time and age:
 *
 * page := varint n, varint base, entry[n]
 * entry := varint at - at of the one before | varint lsn - base | varint size | varint target
 *
 * `base` is the lowest LSN in the page. Entries of messages in memory, and of those that repeat, are never in pages.
 */
export class DuePage {
  readonly ats: Float64Array
  readonly lsns: Float64Array
  readonly sizes: Uint32Array
  readonly targets: Float64Array
  length = 0

  constructor(capacity: number) {
    this.ats = new Float64Array(capacity)
    this.lsns = new Float64Array(capacity)
    this.sizes = new Uint32Array(capacity)
    this.targets = new Float64Array(capacity)
  }

  push({ at, lsn, size, target }: DueEntry): void {
    const slot = this.length++
    this.ats[slot] = at
    this.lsns[slot] = lsn
    this.sizes[slot] = size
    this.targets[slot] = target
  }

  fill(into: DueEntry, slot: number): void {
    into.at = this.ats[slot]!
    into.lsn = this.lsns[slot]!
    into.size = this.sizes[slot]!
    into.target = this.targets[slot]!
    into.flags = 0
  }

  get lowestLsn(): number {
    return this.lsns.subarray(0, this.length).reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY)
  }

  get highestLsn(): number {
    return this.lsns.subarray(0, this.length).reduce((a, b) => Math.max(a, b), 0)
  }

  /** Slot of the first entry behind (at, lsn). */
  slotAfter(at: number, lsn: number): number {
    let low = 0
    let high = this.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const behind = this.ats[middle]! > at || (this.ats[middle] === at && this.lsns[middle]! > lsn)
      if (behind) high = middle
      else low = middle + 1
    }
    return low
  }

  encode(): Uint8Array {
    const writer = new ByteWriter(this.length * 16 + 16)
    const base = this.lowestLsn
    writer.putVarint(this.length)
    writer.putVarint(base)
    let before = 0
    for (let slot = 0; slot < this.length; slot++) {
      const at = this.ats[slot]!
      writer.putVarint(at - before)
      writer.putVarint(this.lsns[slot]! - base)
      writer.putVarint(this.sizes[slot]!)
      writer.putVarint(this.targets[slot]!)
      before = at
    }
    return writer.bytes.subarray(0, writer.length)
  }

  /** Null when the bytes do not fit the grammar. */
  static decode(bytes: Uint8Array): DuePage | null {
    const reader = new OperationReader().reset(bytes, 0, bytes.length)
    const count = reader.varint()
    if (count > bytes.length) return null
    const page = new DuePage(count)
    const base = reader.varint()
    let at = 0
    for (let slot = 0; slot < count; slot++) {
      at += reader.varint()
      page.ats[slot] = at
      page.lsns[slot] = base + reader.varint()
      page.sizes[slot] = reader.varint()
      page.targets[slot] = reader.varint()
    }
    page.length = count
    return reader.failed ? null : page
  }
}
