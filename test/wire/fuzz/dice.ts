/** Choices from a seed: the same seed makes the same ones (mulberry32). */
export class Dice {
  private state: number

  constructor(seed: number) {
    this.state = seed >>> 0
  }

  /** Uniform in [0, below). */
  below(below: number): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0
    let x = this.state
    x = Math.imul(x ^ (x >>> 15), x | 1)
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61)
    return ((x ^ (x >>> 14)) >>> 0) % below
  }

  /** True once in `times`. */
  once(times: number): boolean {
    return this.below(times) === 0
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!
  }

  bytes(size: number): Buffer {
    const bytes = Buffer.alloc(size)
    for (let i = 0; i < size; i++) bytes[i] = this.below(256)
    return bytes
  }
}

/** What a delivery with that number carries: told from any other, and from any other cut. */
export function payloadOf(number: number, size: number): Buffer {
  const payload = Buffer.alloc(size)
  for (let i = 0; i < size; i++) payload[i] = (number * 31 + i * 7 + (i >> 8)) & 0xff
  return payload
}
