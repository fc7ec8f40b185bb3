const BLOCK = 65_536

/**
 * Numbers in the order in which they came. They lie in blocks, because an array that grows is copied now and then, and with a
 * million of them everything would stop for it.
 */
export class Times {
  length = 0
  private blocks: Float64Array[] = []

  push(time: number): void {
    const at = this.length++ % BLOCK
    if (at === 0) this.blocks.push(new Float64Array(BLOCK))
    this.blocks.at(-1)![at] = time
  }

  /** Those from `from` to before `to`, in rising order; the indices are cut to what there is. */
  sorted(from = 0, to: number = this.length): Float64Array {
    const [begin, end] = [Math.max(0, from), Math.min(to, this.length)]
    const found = new Float64Array(Math.max(0, end - begin))
    for (let i = begin; i < end; i++) found[i - begin] = this.blocks[Math.floor(i / BLOCK)]![i % BLOCK]!
    return found.sort()
  }

  clear(): void {
    this.length = 0
    this.blocks = []
  }
}
