import type { DeliveryState } from '../../wire/amqp10/peer/performatives.ts'
import type { ReceiverLink } from '../../wire/amqp10/peer/receiver-link.ts'
import { DeliveryWindow } from './delivery-window.ts'
import { lostDelivery } from './errors.ts'

/** A settlement that the broker has not answered for all its deliveries. */
interface Settlement {
  readonly kind: DeliveryState['kind']
  readonly done: PromiseWithResolvers<void>
  open: number
  /** Some were not held any more. */
  missing: boolean
}

/** Delivered and not settled. */
const HELD = Symbol('held')

/** The deliveries that a receiver holds, by tag: tags rise by one, whatever the ids on the wire do. */
export class HeldDeliveries {
  private readonly window: DeliveryWindow<typeof HELD | Settlement> = new DeliveryWindow()

  /** Deliveries that are not settled, or whose settlement is not answered. */
  get size(): number {
    return this.window.size
  }

  /** Answers the tag. */
  add(id: number, settled: boolean): number {
    const tag = this.window.push(id, HELD)
    if (settled) this.window.take(tag)
    return tag
  }

  /**
   * Settles the tags of `ranges` on the link. With `confirmed` the broker is to answer when that is durable, otherwise it
   * is done with the call. Rejects with `delivery-settled` when some were not held; the others are settled nevertheless.
   */
  settle(
    ranges: readonly number[],
    link: ReceiverLink,
    state: DeliveryState,
    confirmed: boolean,
  ): Promise<void> {
    const settlement: Settlement = {
      kind: state.kind,
      done: Promise.withResolvers(),
      open: 0,
      missing: false,
    }
    for (let i = 0; i < ranges.length; i += 2) {
      this.settleRange(ranges[i]!, ranges[i + 1]!, link, state, settlement, confirmed)
    }
    if (settlement.open === 0) finish(settlement)
    return settlement.done.promise
  }

  /** Neighbouring tags go in one call as long as their ids are neighbours too. */
  private settleRange(
    first: number,
    last: number,
    link: ReceiverLink,
    state: DeliveryState,
    settlement: Settlement,
    confirmed: boolean,
  ): void {
    const { window } = this
    let from = -1
    let to = -1
    for (let tag = first; tag <= last; tag++) {
      if (window.at(tag) !== HELD) {
        settlement.missing = true
        continue
      }
      const id = window.idAt(tag)
      if (from >= 0 && id !== to + 1) {
        link.settle(from, to, state, !confirmed)
        from = -1
      }
      if (from < 0) from = id
      to = id
      if (confirmed) {
        window.replace(tag, settlement)
        settlement.open++
      } else window.take(tag)
    }
    if (from >= 0) link.settle(from, to, state, !confirmed)
  }

  /**
   * The broker has settled these, or taken them back when `state` is another than was asked for. Of those that nobody has
   * settled here `revoked` is told.
   */
  settled(
    first: number,
    last: number,
    state: DeliveryState | undefined,
    revoked: (tag: number) => void,
  ): void {
    this.window.takeIds(first, last, (item, tag) => {
      if (item === HELD) return revoked(tag)
      if (state && state.kind !== item.kind) item.missing = true
      if (--item.open === 0) finish(item)
    })
  }

  /** Ranges of what is neither settled nor being settled. */
  unsettledRanges(): number[] {
    const ranges: number[] = []
    for (let tag = this.window.oldest; tag < this.window.next; tag++) {
      if (this.window.at(tag) !== HELD) continue
      if (ranges.at(-1) === tag - 1) ranges[ranges.length - 1] = tag
      else ranges.push(tag, tag)
    }
    return ranges
  }

  /** The link is gone, and with it the deliveries. */
  lost(): void {
    for (const item of this.window.takeAll()) {
      if (item !== HELD) item.done.reject(lostDelivery())
    }
  }
}

function finish({ missing, done }: Settlement): void {
  if (missing) done.reject(lostDelivery())
  else done.resolve()
}
