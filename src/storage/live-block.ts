/** LSNs that one block accounts for. */
export const BLOCK_LSNS = 4096

const WORDS = BLOCK_LSNS / 32

type Counts = Uint8Array | Uint16Array | Uint32Array

/**
 * Which of 4096 consecutive LSNs are messages that a queue holds. One bit each; a count only where messages are held by
 * several queues, and a size only where sizes differ by more than half (one byte, exact to an eighth).
 */
export class LiveBlock {
  live = 0
  /** Of the live messages; exact when sizes do not differ, else to an eighth. */
  bytes = 0
  readonly bits: Uint32Array = new Uint32Array(WORDS)
  /** Holders beyond the first. */
  extra: Counts | undefined
  sizes: Uint8Array | undefined

  has(index: number): boolean {
    return (this.bits[index >>> 5]! & (1 << (index & 31))) !== 0
  }

  /** The first live one at or after `index`; -1 when there is none. */
  next(index: number): number {
    for (let word = index >>> 5; word < WORDS; word++) {
      const mask = word === index >>> 5 ? -1 << (index & 31) : -1
      const bits = this.bits[word]! & mask
      if (bits !== 0) return word * 32 + (31 - Math.clz32(bits & -bits))
    }
    return -1
  }

  add(index: number, size: number, holders: number): void {
    if (this.has(index)) return
    if (this.live > 0 && !this.sizes) {
      const usual = this.bytes / this.live
      if (size > usual * 1.5 || size * 1.5 < usual) {
        this.sizes = new Uint8Array(BLOCK_LSNS).fill(sizeCode(usual))
      }
    }
    if (this.sizes) this.sizes[index] = sizeCode(size)
    this.bits[index >>> 5]! |= 1 << (index & 31)
    this.live++
    this.bytes += size
    if (holders > 1) this.putExtra(index, holders - 1)
  }

  /** One holder less; answers the size of the message when that was the last, else 0. */
  release(index: number): number {
    if (!this.has(index)) return 0
    if (this.extra && this.extra[index]! > 0) {
      this.extra[index]!--
      return 0
    }
    return this.remove(index)
  }

  /** The message is gone, whoever held it. Answers its size, 0 if it was not there. */
  remove(index: number): number {
    if (!this.has(index)) return 0
    const share = this.sizes ? sizeOfCode(this.sizes[index]!) : this.bytes / this.live
    const size = this.live === 1 ? this.bytes : Math.min(share, this.bytes)
    this.bits[index >>> 5]! &= ~(1 << (index & 31))
    this.live--
    this.bytes -= size
    if (this.extra) this.extra[index] = 0
    return size
  }

  private putExtra(index: number, count: number): void {
    const needed = count < 0x100 ? 1 : count < 0x10000 ? 2 : 4
    if (!this.extra || this.extra.BYTES_PER_ELEMENT < needed) {
      const wider = makeCounts(needed)
      if (this.extra) wider.set(this.extra)
      this.extra = wider
    }
    this.extra[index] = count
  }
}

export function makeCounts(width: number): Counts {
  if (width === 1) return new Uint8Array(BLOCK_LSNS)
  return width === 2 ? new Uint16Array(BLOCK_LSNS) : new Uint32Array(BLOCK_LSNS)
}

/** Sizes as five bits of exponent and three of mantissa. */
export function sizeCode(size: number): number {
  const whole = Math.max(0, Math.floor(size))
  if (whole < 8) return whole
  const exponent = 31 - Math.clz32(whole)
  return Math.min(255, ((exponent - 2) << 3) | ((whole >>> (exponent - 3)) & 7))
}

/** The middle of the sizes that have this code. */
export function sizeOfCode(code: number): number {
  if (code < 8) return code
  const exponent = (code >>> 3) + 2
  return (8 + (code & 7) + 0.5) * 2 ** (exponent - 3)
}
