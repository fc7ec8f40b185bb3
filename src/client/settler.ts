import type { ProviderReceiver, ProviderSettlement } from './provider.ts'
import { afterTurn } from './waiting.ts'

/**
 * Gathers the acknowledgements of a turn into ranges of tags. All of them share one promise, which resolves when the
 * settlement is durable, so that acknowledging costs no promise per message.
 */
export class Settler {
  private readonly receiver: ProviderReceiver
  private readonly failed: (error: unknown) => void
  private tags: number[] = []
  private batch: PromiseWithResolvers<void> | undefined
  private readonly flying = new Set<Promise<void>>()

  /** `failed` hears of every rejected batch, because nobody need have waited for it. */
  constructor(receiver: ProviderReceiver, failed: (error: unknown) => void) {
    this.receiver = receiver
    this.failed = failed
  }

  accept(tag: number): Promise<void> {
    this.tags.push(tag)
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
    const { batch, tags } = this
    if (!batch) return
    this.batch = undefined
    this.tags = []
    this.receiver.settle(toRanges(tags), { outcome: 'accepted' }).then(batch.resolve, batch.reject)
  }

  /** Resolves when everything settled so far is durable, or has failed. */
  async idle(): Promise<void> {
    this.flush()
    await Promise.allSettled([...this.flying])
  }
}

/** Pairs of first and last of each run of consecutive tags. */
export function toRanges(tags: number[]): number[] {
  const ranges: number[] = []
  let first = tags[0]!
  let last = first
  for (let i = 1; i < tags.length; i++) {
    const tag = tags[i]!
    if (tag < last) return toRanges(tags.sort((a, b) => a - b))
    if (tag !== last + 1) {
      ranges.push(first, last)
      first = tag
    }
    last = tag
  }
  ranges.push(first, last)
  return ranges
}
