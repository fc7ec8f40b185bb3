import type { ProviderReceiver, ProviderSettlement } from './provider.ts'
import { afterTurn } from './waiting.ts'

/**
 * Gathers the acknowledgements of a turn into ranges of tags. All of them share one promise, which resolves when the
 * settlement is durable, so that acknowledging costs no promise per message.
 */
export class Settler {
  private readonly receiver: ProviderReceiver
  private readonly failed: (error: unknown) => void
  /** Pairs of first and last, as they came. */
  private ranges: number[] = []
  /** The last tag of the last pair. */
  private last = 0
  private batch: PromiseWithResolvers<void> | undefined
  private readonly flying = new Set<Promise<void>>()

  /** `failed` hears of every rejected batch, because nobody need have waited for it. */
  constructor(receiver: ProviderReceiver, failed: (error: unknown) => void) {
    this.receiver = receiver
    this.failed = failed
  }

  accept(tag: number): Promise<void> {
    if (tag === this.last + 1 && this.ranges.length > 0) this.ranges[this.ranges.length - 1] = tag
    else this.ranges.push(tag, tag)
    this.last = tag
    if (this.batch) return this.batch.promise
    this.batch = Promise.withResolvers<void>()
    const { promise } = this.batch
    promise.catch(this.failed)
    afterTurn(() => this.flush())
    return this.watched(promise)
  }

  /** Another outcome than accepted, for one message. */
  settle(tag: number, settlement: ProviderSettlement): Promise<void> {
    return this.watched(this.receiver.settle([tag, tag], settlement))
  }

  private watched(promise: Promise<void>): Promise<void> {
    this.flying.add(promise)
    const landed = () => void this.flying.delete(promise)
    promise.then(landed, landed)
    return promise
  }

  flush(): void {
    const { batch, ranges } = this
    if (!batch) return
    this.batch = undefined
    this.ranges = []
    this.receiver.settle(rising(ranges), { outcome: 'accepted' }).then(batch.resolve, batch.reject)
  }

  /** Resolves when everything settled so far is durable, or has failed. */
  async idle(): Promise<void> {
    this.flush()
    await Promise.allSettled([...this.flying])
  }
}

/** Pairs of first and last of each run of consecutive tags. */
export function toRanges(tags: readonly number[]): number[] {
  return rising(tags.flatMap((tag) => [tag, tag]))
}

/** The same pairs in rising order, and as few as it takes. */
function rising(ranges: number[]): number[] {
  for (let i = 2; i < ranges.length; i += 2) if (ranges[i]! <= ranges[i - 1]! + 1) return merged(ranges)
  return ranges
}

function merged(ranges: readonly number[]): number[] {
  const pairs = ranges.flatMap((first, i) => (i % 2 === 0 ? [[first, ranges[i + 1]!] as const] : []))
  const result: number[] = []
  for (const [first, last] of pairs.sort(([a], [b]) => a - b)) {
    const end = result.length - 1
    if (end > 0 && first === result[end]! + 1) result[end] = last
    else result.push(first, last)
  }
  return result
}
