import type { Random } from '../engine/ports/random.ts'

/** Randomness that a seed decides: the same seed gives the same numbers for ever (xoshiro128**). */
export class SeededRandom implements Random {
  private readonly state = new Uint32Array(4)

  /** `seed` is any safe integer. */
  constructor(seed: number) {
    let mixed = (seed ^ Math.floor(seed / 2 ** 32)) >>> 0
    for (let i = 0; i < 4; i++) {
      mixed = (mixed + 0x9e3779b9) >>> 0
      let word = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
      word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35)
      this.state[i] = (word ^ (word >>> 16)) >>> 0
    }
  }

  next(): number {
    const s = this.state
    const result = rotated(Math.imul(s[1]!, 5), 7)
    const shifted = s[1]! << 9
    s[2]! ^= s[0]!
    s[3]! ^= s[1]!
    s[1]! ^= s[2]!
    s[0]! ^= s[3]!
    s[2]! ^= shifted
    s[3] = rotated(s[3]!, 11)
    return (Math.imul(result, 9) >>> 0) / 2 ** 32
  }

  /** A whole number from `min` to `max`, both included. */
  between(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1))
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  /** Throws a RangeError for an empty list. */
  pick<T>(from: readonly T[]): T {
    if (from.length === 0) throw new RangeError('nothing to pick from')
    return from[Math.floor(this.next() * from.length)]!
  }

  /** Picks by weight; the weights need not add up to one. */
  weighted<T extends string>(weights: Readonly<Record<T, number>>): T {
    const entries = Object.entries(weights) as [T, number][]
    let left = this.next() * entries.reduce((sum, [, weight]) => sum + weight, 0)
    for (const [name, weight] of entries) {
      left -= weight
      if (left < 0) return name
    }
    return entries[entries.length - 1]![0]
  }

  /** An independent sequence: drawing from it does not change what comes from this one. */
  fork(): SeededRandom {
    return new SeededRandom(Math.floor(this.next() * 2 ** 32))
  }
}

function rotated(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by))
}
