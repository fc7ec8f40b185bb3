import type { Engine, Settlement } from '../engine/api.ts'

/** A rollback is a failed delivery that waits for no backoff: the session goes on in its order. */
const rolledBack: Settlement = {
  outcome: 'modified',
  deliveryFailed: true,
  immediately: true,
  description: 'its transaction was rolled back',
}

/**
 * Deliveries that whoever received them has settled in a transaction and forgotten. The engine lets its consumers keep them
 * after a rollback; here they go back to their queues.
 */
export class Retirements {
  /** Triples of consumer, first and last tag. */
  private readonly ranges: number[] = []

  add(consumer: number, first: number, last: number): void {
    const { ranges } = this
    const end = ranges.length
    if (ranges[end - 3] === consumer && ranges[end - 1] === first - 1) ranges[end - 1] = last
    else ranges.push(consumer, first, last)
  }

  giveBack(engine: Pick<Engine, 'settle'>): void {
    const { ranges } = this
    for (let i = 0; i < ranges.length; i += 3)
      engine.settle(ranges[i]!, ranges[i + 1]!, ranges[i + 2]!, rolledBack)
    ranges.length = 0
  }
}
