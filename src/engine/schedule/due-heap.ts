import { comesBefore, DueEntry } from './due-entry.ts'

const INITIAL = 64

/**
 * Entries in memory, the earliest on top: a binary heap of parallel typed arrays. What is deleted out of the middle stays until
 * it comes to the top, or until it is as much as what lives.
 */
export class DueHeap {
  private readonly members = new Set<number>()
  private length = 0
  private ats = new Float64Array(INITIAL)
  private lsns = new Float64Array(INITIAL)
  private sizes = new Uint32Array(INITIAL)
  private targets = new Float64Array(INITIAL)
  private flags = new Uint8Array(INITIAL)

  /** Living entries. */
  get count(): number {
    return this.members.size
  }

  has(lsn: number): boolean {
    return this.members.has(lsn)
  }

  push({ at, lsn, size, target, flags }: DueEntry): void {
    if (this.length === this.ats.length) this.grow()
    const slot = this.rise(this.length++, at, lsn)
    this.put(slot, at, lsn, size, target, flags)
    this.members.add(lsn)
  }

  /** False when it was not there. */
  delete(lsn: number): boolean {
    if (!this.members.delete(lsn)) return false
    if (this.length > INITIAL && this.length > 2 * this.members.size) this.compact()
    return true
  }

  /** Fills `into` with the earliest entry, which stays. False when there is none. */
  peek(into: DueEntry): boolean {
    this.dropDead()
    if (this.length === 0) return false
    this.fill(into, 0)
    return true
  }

  /** Takes out the earliest entry. */
  pop(into: DueEntry): boolean {
    if (!this.peek(into)) return false
    this.members.delete(into.lsn)
    this.removeTop()
    return true
  }

  /** All living entries, in no order. The object is the same each time. */
  *entries(): Generator<DueEntry> {
    const entry = new DueEntry()
    for (let slot = 0; slot < this.length; slot++) {
      if (!this.members.has(this.lsns[slot]!)) continue
      this.fill(entry, slot)
      yield entry
    }
  }

  private fill(into: DueEntry, slot: number): void {
    into.at = this.ats[slot]!
    into.lsn = this.lsns[slot]!
    into.size = this.sizes[slot]!
    into.target = this.targets[slot]!
    into.flags = this.flags[slot]!
  }

  private dropDead(): void {
    while (this.length > 0 && !this.members.has(this.lsns[0]!)) this.removeTop()
  }

  private removeTop(): void {
    const last = --this.length
    if (last === 0) return
    const slot = this.sink(0, this.ats[last]!, this.lsns[last]!)
    this.move(slot, last)
  }

  /** The slot, from `slot` upwards, at which an entry belongs; others have made room. */
  private rise(slot: number, at: number, lsn: number): number {
    while (slot > 0) {
      const parent = (slot - 1) >> 1
      if (!this.isBefore(at, lsn, parent)) break
      this.move(slot, parent)
      slot = parent
    }
    return slot
  }

  private sink(slot: number, at: number, lsn: number): number {
    for (;;) {
      let child = slot * 2 + 1
      if (child >= this.length) return slot
      if (child + 1 < this.length && this.isBefore(this.ats[child + 1]!, this.lsns[child + 1]!, child))
        child++
      if (this.isBefore(at, lsn, child)) return slot
      this.move(slot, child)
      slot = child
    }
  }

  private isBefore(at: number, lsn: number, slot: number): boolean {
    return at < this.ats[slot]! || (at === this.ats[slot] && lsn < this.lsns[slot]!)
  }

  private move(to: number, from: number): void {
    this.put(to, this.ats[from]!, this.lsns[from]!, this.sizes[from]!, this.targets[from]!, this.flags[from]!)
  }

  private put(slot: number, at: number, lsn: number, size: number, target: number, flags: number): void {
    this.ats[slot] = at
    this.lsns[slot] = lsn
    this.sizes[slot] = size
    this.targets[slot] = target
    this.flags[slot] = flags
  }

  /** Leaves out what is dead; the order is made anew. */
  private compact(): void {
    const living = Array.from(this.entries(), (entry) => entry.copy())
    this.length = 0
    this.resize(Math.max(INITIAL, living.length * 2))
    // In order it is a heap.
    for (const { at, lsn, size, target, flags } of living.sort((a, b) => (comesBefore(a, b) ? -1 : 1))) {
      this.put(this.length++, at, lsn, size, target, flags)
    }
  }

  private grow(): void {
    this.resize(this.length * 2)
  }

  private resize(size: number): void {
    const { ats, lsns, sizes, targets, flags, length } = this
    this.ats = new Float64Array(size)
    this.lsns = new Float64Array(size)
    this.sizes = new Uint32Array(size)
    this.targets = new Float64Array(size)
    this.flags = new Uint8Array(size)
    this.ats.set(ats.subarray(0, length))
    this.lsns.set(lsns.subarray(0, length))
    this.sizes.set(sizes.subarray(0, length))
    this.targets.set(targets.subarray(0, length))
    this.flags.set(flags.subarray(0, length))
  }
}
