/** Frames this far apart, or further, get an entry of their own: the unit of reading. */
export const STRETCH: number = 16 * 1024

/**
 * Where in a segment file to look for an LSN: one entry for each stretch of frames. A stretch runs from its entry's
 * offset to the next entry's, and its LSNs begin at the entry's. In a cluster, stretches belong to runs of one queue
 * each, in rising order of queue; a journal segment is one run, of queue 0.
 */
export class SparseTable {
  count = 0
  /** End of the last frame noted. */
  end: number
  private lsns: Float64Array = new Float64Array(8)
  private offsets: Float64Array = new Float64Array(8)
  private queues: Float64Array | undefined

  constructor(end: number, clustered: boolean) {
    this.end = end
    this.queues = clustered ? new Float64Array(8) : undefined
  }

  /** Notes a frame. Frames come in the order of the file; one noted before is passed over. */
  note(queue: number, firstLsn: number, offset: number, end: number): void {
    if (offset < this.end) return
    this.end = end
    const last = this.count - 1
    const close = last >= 0 && offset - this.offsets[last]! < STRETCH
    if (close && (!this.queues || this.queues[last] === queue)) return
    this.add(queue, firstLsn, offset)
  }

  /** Takes over an entry that was saved. */
  add(queue: number, lsn: number, offset: number): void {
    if (this.count === this.lsns.length) this.grow()
    this.lsns[this.count] = lsn
    this.offsets[this.count] = offset
    if (this.queues) this.queues[this.count] = queue
    this.count++
  }

  /** The stretch that holds `lsn` in the run of `queue` if any does; -1 when it lies before all of them. */
  find(queue: number, lsn: number): number {
    let low = 0
    let high = this.count
    while (low < high) {
      const middle = (low + high) >>> 1
      const other = this.queues ? this.queues[middle]! : queue
      if (other < queue || (other === queue && this.lsns[middle]! <= lsn)) low = middle + 1
      else high = middle
    }
    const found = low - 1
    return found >= 0 && this.queue(found, queue) === queue ? found : -1
  }

  /** Queue of a stretch; a journal segment answers `otherwise`, as all its stretches may hold any queue. */
  queue(index: number, otherwise = 0): number {
    return this.queues ? this.queues[index]! : otherwise
  }

  lsn(index: number): number {
    return this.lsns[index]!
  }

  offset(index: number): number {
    return this.offsets[index]!
  }

  endOf(index: number): number {
    return index + 1 < this.count ? this.offsets[index + 1]! : this.end
  }

  private grow(): void {
    const wider = (old: Float64Array) => {
      const grown = new Float64Array(old.length * 2)
      grown.set(old)
      return grown
    }
    this.lsns = wider(this.lsns)
    this.offsets = wider(this.offsets)
    if (this.queues) this.queues = wider(this.queues)
  }
}
