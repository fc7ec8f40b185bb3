const SLAB = 4 * 1024 * 1024

/** Operations gathered from segments that are to move, copied, with the run of each. Used again, it keeps its memory. */
export class Survivors {
  count = 0
  /** Queue of each run, by ordinal. */
  readonly queues: number[] = []
  private readonly ordinals = new Map<number, number>()
  private readonly slabs: Buffer[] = []
  private slab = -1
  /** Of the slab that is being filled. */
  private used = SLAB
  private lsns: Float64Array = new Float64Array(1024)
  private runs: Uint32Array = new Uint32Array(1024)
  private slabOf: Uint32Array = new Uint32Array(1024)
  private starts: Uint32Array = new Uint32Array(1024)
  private lengths: Uint32Array = new Uint32Array(1024)

  /** Copies the operation bytes[start, end), header included. Within a queue they come in order of LSN. */
  add(queue: number, lsn: number, bytes: Buffer, start: number, end: number): void {
    if (this.count === this.lsns.length) this.grow()
    const length = end - start
    if (this.used + length > SLAB) this.nextSlab(length)
    bytes.copy(this.slabs[this.slab]!, this.used, start, end)
    const index = this.count++
    this.lsns[index] = lsn
    this.runs[index] = this.ordinalOf(queue)
    this.slabOf[index] = this.slab
    this.starts[index] = this.used
    this.lengths[index] = length
    this.used += length
  }

  clear(): void {
    this.count = 0
    this.queues.length = 0
    this.ordinals.clear()
    this.slab = -1
    this.used = SLAB
  }

  /** Indexes by rising queue, and by LSN within a queue: a counting sort, which keeps the order of addition. */
  inRuns(): Uint32Array {
    const order = [...this.queues.keys()].sort((a, b) => this.queues[a]! - this.queues[b]!)
    const sizes = new Uint32Array(this.queues.length)
    for (let i = 0; i < this.count; i++) sizes[this.runs[i]!]!++
    const next = new Uint32Array(this.queues.length)
    let at = 0
    for (const run of order) {
      next[run] = at
      at += sizes[run]!
    }
    const sorted = new Uint32Array(this.count)
    for (let i = 0; i < this.count; i++) sorted[next[this.runs[i]!]!++] = i
    return sorted
  }

  queue(index: number): number {
    return this.queues[this.runs[index]!]!
  }

  lsn(index: number): number {
    return this.lsns[index]!
  }

  length(index: number): number {
    return this.lengths[index]!
  }

  /** Copies an operation to `target` at `at`, with another distance to the one before it. */
  copyTo(target: Buffer, at: number, index: number, lsnDelta: number): void {
    const slab = this.slabs[this.slabOf[index]!]!
    const start = this.starts[index]!
    slab.copy(target, at, start, start + this.lengths[index]!)
    target.writeUInt32LE((target[at]! | (lsnDelta << 8)) >>> 0, at)
  }

  private nextSlab(length: number): void {
    const next = this.slabs[++this.slab]
    if (!next || next.length < length) this.slabs[this.slab] = Buffer.allocUnsafeSlow(Math.max(SLAB, length))
    this.used = 0
  }

  private ordinalOf(queue: number): number {
    let ordinal = this.ordinals.get(queue)
    if (ordinal === undefined) {
      ordinal = this.queues.length
      this.ordinals.set(queue, ordinal)
      this.queues.push(queue)
    }
    return ordinal
  }

  private grow(): void {
    const size = this.count * 2
    const lsns = new Float64Array(size)
    lsns.set(this.lsns)
    this.lsns = lsns
    this.runs = widened(this.runs, size)
    this.slabOf = widened(this.slabOf, size)
    this.starts = widened(this.starts, size)
    this.lengths = widened(this.lengths, size)
  }
}

function widened(old: Uint32Array, size: number): Uint32Array {
  const grown = new Uint32Array(size)
  grown.set(old)
  return grown
}
