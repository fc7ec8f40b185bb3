import { SpareBlocks } from '../../wire/amqp10/spare-blocks.ts'

/** As large as a frame, for a message of some MiB. */
const blocks = new SpareBlocks(64 * 1024, 64)

/** Puts together what comes in parts: in memory that is used again, until it is known how much there is. */
export class Gathering {
  private size = 0
  private filled: Buffer[] = []

  get empty(): boolean {
    return this.size === 0
  }

  /** Copies bytes[start, end). */
  add(bytes: Uint8Array, start: number, end: number): void {
    for (let at = start; at < end; ) {
      const offset = this.size % blocks.size
      if (offset === 0) this.filled.push(blocks.take())
      const part = bytes.subarray(at, Math.min(end, at + blocks.size - offset))
      this.filled.at(-1)!.set(part, offset)
      this.size += part.length
      at += part.length
    }
  }

  /** All that has been added and bytes[start, end), in memory of its own. */
  finish(bytes: Uint8Array, start: number, end: number): Buffer {
    const whole = Buffer.allocUnsafeSlow(this.size + end - start)
    for (const [i, block] of this.filled.entries()) {
      const at = i * blocks.size
      block.copy(whole, at, 0, Math.min(blocks.size, this.size - at))
    }
    whole.set(bytes.subarray(start, end), this.size)
    this.clear()
    return whole
  }

  clear(): void {
    for (const block of this.filled) blocks.give(block)
    this.filled = []
    this.size = 0
  }
}
