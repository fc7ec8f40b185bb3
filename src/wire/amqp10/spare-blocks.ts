/** Blocks of memory of one size that go from hand to hand: allocating large ones, and collecting them, costs more than filling them. */
export class SpareBlocks {
  readonly size: number
  private readonly most: number
  private readonly spare: Buffer[] = []

  /** Keeps at most `most` blocks that nobody uses. */
  constructor(size: number, most: number) {
    this.size = size
    this.most = most
  }

  /** A block, with whatever is in it. */
  take(): Buffer {
    return this.spare.pop() ?? Buffer.allocUnsafeSlow(this.size)
  }

  /** Nobody looks at it any more. What is no block of these is passed over. */
  give(block: Buffer): void {
    if (block.length === this.size && this.spare.length < this.most) this.spare.push(block)
  }
}
