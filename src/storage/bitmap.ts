/** Which blocks of a file are taken. Runs are handed out first fit, from where the last one was found. */
export class Bitmap {
  /** Blocks up to the last one taken. */
  length = 0
  private bits: Uint8Array = new Uint8Array(64)
  private from = 0

  /** Takes `count` consecutive blocks; answers the first. */
  takeRun(count: number): number {
    const found = this.findRun(count)
    this.mark(found, count, true)
    this.from = found + count
    this.length = Math.max(this.length, found + count)
    return found
  }

  giveRun(first: number, count: number): void {
    this.mark(first, count, false)
    this.from = Math.min(this.from, first)
  }

  /** Forgets free blocks at the end. */
  trim(): void {
    while (this.length > 0 && !this.has(this.length - 1)) this.length--
    this.from = Math.min(this.from, this.length)
  }

  has(block: number): boolean {
    return (this.bits[block >>> 3]! & (1 << (block & 7))) !== 0
  }

  toBytes(): Uint8Array {
    return this.bits.slice(0, Math.ceil(this.length / 8))
  }

  fromBytes(bytes: Uint8Array): void {
    this.bits = new Uint8Array(Math.max(64, bytes.length))
    this.bits.set(bytes)
    this.length = bytes.length * 8
    this.trim()
    this.from = 0
  }

  private findRun(count: number): number {
    let run = 0
    for (let block = this.from; block < this.length; block++) {
      if ((block & 7) === 0 && run === 0 && this.bits[block >>> 3] === 0xff) {
        block += 7
        continue
      }
      run = this.has(block) ? 0 : run + 1
      if (run === count) return block - count + 1
    }
    return this.length - run
  }

  private mark(first: number, count: number, taken: boolean): void {
    const needed = (first + count + 7) >>> 3
    if (needed > this.bits.length) {
      const grown = new Uint8Array(Math.max(needed, this.bits.length * 2))
      grown.set(this.bits)
      this.bits = grown
    }
    for (let block = first; block < first + count; block++) {
      if (taken) this.bits[block >>> 3]! |= 1 << (block & 7)
      else this.bits[block >>> 3]! &= ~(1 << (block & 7))
    }
  }
}
