import type { DeadLetterReason, Departure } from '../model/delivery.ts'
import { type Backoff, longestDelay, MAX_RETRY_DELAY } from '../model/policy.ts'
import type { Settlement } from './api.ts'
import type { Consumer, Unsettled } from './consumer.ts'
import type { Core } from './core.ts'
import { DeadLetters } from './dead-letters.ts'
import { type Chunk, EntryFlag } from './index/chunk.ts'
import type { Lane } from './index/lane.ts'
import { eventCode, StateCode, transition } from './lifecycle.ts'
import type { Queue } from './queue.ts'
import { Relocation } from './relocation.ts'
import { Replacement } from './replacement.ts'
import type { SettledRow } from './transaction.ts'
import { Transfers } from './transfers.ts'

const ACCEPT = eventCode('accept')
const RELEASE = eventCode('release')
const DEFER = eventCode('defer')
const FAIL = eventCode('fail')
const EXHAUST = eventCode('exhaust')
const REJECT = eventCode('reject')
const LOST = eventCode('connection-lost')
const TIMEOUT = eventCode('delivery-timeout')
const UNDO = eventCode('undo')
const DUE = eventCode('due')
const EXPIRE = eventCode('expire')
const DISCARD = eventCode('discard')

/** Messages that one consumer may refuse to see again; beyond, the oldest refusal is forgotten. */
const MAX_EXCLUDED = 10_000

/** Everything that becomes of a message once it is in a queue, except being handed out. */
export class Settlements {
  private readonly core: Core
  /** There may be something to hand out. */
  readonly schedule: (queue: Queue) => void
  readonly relocation: Relocation
  readonly replacement: Replacement
  /** A settlement is in the log only when what it dead-letters has been moved. */
  readonly transfers: Transfers
  private readonly deadLetters: DeadLetters
  private readonly found: Unsettled = { lane: null as never, chunk: null as never, slot: 0 }

  constructor(core: Core, schedule: (queue: Queue) => void) {
    this.core = core
    this.schedule = schedule
    const transfers = new Transfers(core)
    this.transfers = transfers
    this.deadLetters = new DeadLetters(core, transfers, ({ queue, lane, chunk, slot }) => {
      this.leave(queue, lane, chunk, slot, DISCARD, 'quarantined')
    })
    this.relocation = new Relocation(core, transfers, schedule, ({ queue, lane, chunk, slot }) =>
      this.discard(queue, lane, chunk, slot, 'purged'),
    )
    this.replacement = new Replacement(core, ({ queue, lane, chunk, slot }) =>
      this.discard(queue, lane, chunk, slot, 'replaced'),
    )
    core.pager.loaded = (queue, lane, chunk, waiting) => this.foundWaiting(queue, lane, chunk, waiting)
  }

  settle(consumer: Consumer, first: number, last: number, settlement: Settlement): number {
    const to = Math.min(last, consumer.nextTag - 1)
    let count = 0
    for (let tag = Math.max(first, consumer.firstTag); tag <= to; tag++) {
      if (!consumer.letGo(tag, this.found)) continue
      const { lane, chunk, slot } = this.found
      this.settleOne(consumer.queue, consumer, lane, chunk, slot, settlement)
      count++
    }
    if (count > 0) this.schedule(consumer.queue)
    return count
  }

  /** All that the consumer holds goes back. Lost with its connection it counts as an interruption; released it does not. */
  giveBack(consumer: Consumer, lost: boolean): void {
    const alone = consumer.unsettled === 1
    const handedOver = consumer.nextTag - consumer.withhold()
    for (let tag = consumer.firstTag; tag < consumer.nextTag; tag++) {
      if (!consumer.letGo(tag, this.found)) continue
      const { lane, chunk, slot } = this.found
      // Deliveries of this turn that have not been handed over yet never are: others will get them, for the first time.
      const wasSeen = tag < handedOver
      if (!wasSeen) {
        chunk.setDeliveries(slot, chunk.deliveriesOf(slot) - 1)
        consumer.queue.delivered--
      }
      if (lost && wasSeen) this.interrupted(consumer.queue, lane, chunk, slot, alone)
      else this.released(consumer.queue, lane, chunk, slot)
    }
    this.schedule(consumer.queue)
  }

  /** Takes a delivery back whose consumer took too long; it counts as a failure. */
  timedOut(consumer: Consumer, tag: number): void {
    if (consumer.isEnlisted(tag)) this.core.takenBack(consumer, tag, 'delivery timeout')
    if (!consumer.letGo(tag, this.found)) return
    const { lane, chunk, slot } = this.found
    consumer.connection.tellLater((sink) => sink.revoked?.(consumer.id, tag))
    this.core.touch(consumer.connection)
    this.failed(consumer.queue, lane, chunk, slot, TIMEOUT, 'delivery timeout')
    this.core.settledFor(consumer)
    this.schedule(consumer.queue)
  }

  expire(queue: Queue, lane: Lane, chunk: Chunk, slot: number): void {
    if (this.core.topology.expiryQueue(queue) !== undefined) {
      this.deadLetter(queue, lane, chunk, slot, REJECT, 'expired', '')
    } else {
      this.leave(queue, lane, chunk, slot, EXPIRE, 'expired')
    }
  }

  /** The queue is over its capacity and keeps what does not fit in its dead-letter queue. */
  overflow(queue: Queue, lane: Lane, chunk: Chunk, slot: number): void {
    this.deadLetter(queue, lane, chunk, slot, REJECT, 'overflow', '')
  }

  /** Dropped by an overflow policy, purged by an operator, or damaged. */
  discard(queue: Queue, lane: Lane, chunk: Chunk, slot: number, departure: Departure): void {
    this.leave(queue, lane, chunk, slot, DISCARD, departure)
  }

  /** The bytes of a message turned out damaged: it leaves, unless somebody has it. */
  damaged(queue: Queue, lsn: number): void {
    for (const lane of queue.urgentFirst()) {
      const chunk = lane.chunkOf(lsn)
      const slot = chunk?.resident ? chunk.find(lsn) : -1
      if (chunk === null || slot < 0 || chunk.stateOf(slot) !== StateCode.ready) continue
      this.discard(queue, lane, chunk, slot, 'quarantined')
      return
    }
  }

  /** Entries that were read back in state waiting: they count again, and get their timers. */
  foundWaiting(queue: Queue, lane: Lane, chunk: Chunk, slots: readonly number[]): void {
    queue.waiting += slots.length
    for (const slot of slots) queue.groups?.foundParked(chunk.groupOf(slot))
    for (const slot of slots) this.wakeWhenDue(queue, lane, chunk.lsnOf(slot), chunk.dueOf(slot))
  }

  private wakeWhenDue(queue: Queue, lane: Lane, lsn: number, due: number): void {
    const delay = Math.min(
      Math.max(0, due - this.core.clock.wall()),
      Math.max(longestDelay(queue.policy.backoff), MAX_RETRY_DELAY),
    )
    this.core.deadlines.add(this.core.clock.monotonic() + delay, () => {
      const chunk = lane.chunkOf(lsn)
      const slot = chunk?.resident ? chunk.find(lsn) : -1
      if (chunk === null || slot < 0 || chunk.dueOf(slot) !== due) return
      if (chunk.stateOf(slot) !== StateCode.waiting) return
      queue.setState(lane, chunk, slot, transition(StateCode.waiting, DUE))
      this.schedule(queue)
    })
  }

  /**
   * A transaction is committed that has settled the message, in a lane's place that is in memory. `consumer` is undefined when
   * the transaction was found in the journal: then the message is not with anybody yet. One that has gone is passed over.
   */
  settleCommitted(row: SettledRow, chunk: Chunk, slot: number): void {
    const { queue, lane, consumer } = row
    if (consumer === undefined && isFree(chunk.stateOf(slot))) {
      this.transfers.hold({ queue, lane, chunk, slot })
      chunk.setDeliveries(slot, chunk.deliveriesOf(slot) + 1)
    }
    if (chunk.stateOf(slot) !== StateCode.acquired) return
    this.settleOne(queue, consumer, lane, chunk, slot, row.settlement)
  }

  private settleOne(
    queue: Queue,
    consumer: Consumer | undefined,
    lane: Lane,
    chunk: Chunk,
    slot: number,
    settlement: Settlement,
  ): void {
    switch (settlement.outcome) {
      case 'accepted':
        this.leave(queue, lane, chunk, slot, ACCEPT, 'accepted')
        return
      case 'released':
        this.released(queue, lane, chunk, slot)
        return
      case 'rejected':
        this.rejected(queue, lane, chunk, slot, settlement)
        return
      case 'modified':
        if (settlement.undeliverableHere && consumer !== undefined) exclude(consumer, chunk.lsnOf(slot))
        this.modified(queue, lane, chunk, slot, settlement)
    }
  }

  private modified(queue: Queue, lane: Lane, chunk: Chunk, slot: number, settlement: Settlement): void {
    const { deliveryFailed, immediately, delay, description = '' } = settlement
    if (deliveryFailed) this.failed(queue, lane, chunk, slot, immediately ? UNDO : FAIL, description, delay)
    else if (delay) this.deferred(queue, lane, chunk, slot, delay)
    else this.released(queue, lane, chunk, slot)
  }

  private rejected(queue: Queue, lane: Lane, chunk: Chunk, slot: number, settlement: Settlement): void {
    // Without a place for dead letters a rejected message stays: nothing is dropped silently.
    if (this.core.topology.deadLetterQueue(queue) === undefined) {
      if (this.isReplaced(queue, lane, chunk, slot)) return
      this.backOff(queue, lane, chunk, slot, FAIL, undefined)
      return
    }
    this.deadLetter(
      queue,
      lane,
      chunk,
      slot,
      REJECT,
      settlement.reason ?? 'rejected',
      settlement.description ?? '',
    )
  }

  /** It was not used: the delivery does not count. */
  private released(queue: Queue, lane: Lane, chunk: Chunk, slot: number): void {
    if (this.isReplaced(queue, lane, chunk, slot)) return
    chunk.setDeliveries(slot, Math.max(0, chunk.deliveriesOf(slot) - 1))
    this.comeBack(queue, lane, chunk, slot, RELEASE)
  }

  /** It was not used, and is not wanted again before `delay` has passed: the delivery does not count. */
  private deferred(queue: Queue, lane: Lane, chunk: Chunk, slot: number, delay: number): void {
    if (this.isReplaced(queue, lane, chunk, slot)) return
    chunk.setDeliveries(slot, Math.max(0, chunk.deliveriesOf(slot) - 1))
    this.backOff(queue, lane, chunk, slot, DEFER, delay)
  }

  /** Ready again, in its old place. */
  private comeBack(queue: Queue, lane: Lane, chunk: Chunk, slot: number, event: number): void {
    const expiry = chunk.expiryOf(slot)
    queue.setState(lane, chunk, slot, transition(StateCode.acquired, event))
    if (expiry === 0) return
    chunk.minExpiry = Math.min(chunk.minExpiry, expiry)
    this.core.expiring(queue, expiry)
  }

  private interrupted(queue: Queue, lane: Lane, chunk: Chunk, slot: number, alone: boolean): void {
    if (this.isReplaced(queue, lane, chunk, slot)) return
    if (alone) {
      // Delivered alone, the message itself may be what kills its consumers.
      chunk.setFailures(slot, chunk.failuresOf(slot) + 1)
      if (this.isExhausted(queue, chunk, slot)) {
        this.deadLetter(
          queue,
          lane,
          chunk,
          slot,
          EXHAUST,
          'max-deliveries',
          'its consumer was lost each time',
        )
        return
      }
    }
    this.comeBackCounted(queue, lane, chunk, slot, LOST)
  }

  /** Ready again at once, and the delivery counts. */
  private comeBackCounted(queue: Queue, lane: Lane, chunk: Chunk, slot: number, event: number): void {
    this.requeued(queue, chunk, slot, 0)
    this.comeBack(queue, lane, chunk, slot, event)
  }

  private failed(
    queue: Queue,
    lane: Lane,
    chunk: Chunk,
    slot: number,
    event: number,
    description: string,
    delay?: number,
  ): void {
    if (this.isReplaced(queue, lane, chunk, slot)) return
    chunk.setFailures(slot, chunk.failuresOf(slot) + 1)
    if (this.isExhausted(queue, chunk, slot)) {
      this.deadLetter(queue, lane, chunk, slot, EXHAUST, 'max-deliveries', description)
    } else if (event === UNDO) {
      this.comeBackCounted(queue, lane, chunk, slot, event)
    } else {
      this.backOff(queue, lane, chunk, slot, event, delay)
    }
  }

  /** A newer value has come meanwhile: this one leaves instead of coming back. */
  private isReplaced(queue: Queue, lane: Lane, chunk: Chunk, slot: number): boolean {
    if (queue.values === null || !queue.values.isOutdated(chunk.lsnOf(slot))) return false
    this.leave(queue, lane, chunk, slot, DISCARD, 'replaced')
    return true
  }

  private isExhausted(queue: Queue, chunk: Chunk, slot: number): boolean {
    const { maxDeliveries } = queue.policy
    if (maxDeliveries === undefined || chunk.failuresOf(slot) < maxDeliveries) return false
    return this.core.topology.deadLetterQueue(queue) !== undefined
  }

  /** `delay`: what the consumer has asked for, instead of the queue's backoff. */
  private backOff(
    queue: Queue,
    lane: Lane,
    chunk: Chunk,
    slot: number,
    event: number,
    delay: number | undefined,
  ): void {
    const { backoff } = queue.policy
    const wait =
      delay === undefined
        ? delayAfter(backoff, chunk.failuresOf(slot)) * (1 - backoff.jitter * this.core.random.next())
        : Math.min(delay, MAX_RETRY_DELAY)
    const due = Math.floor(this.core.clock.wall()) + Math.round(wait)
    const lsn = chunk.lsnOf(slot)
    const state = transition(StateCode.acquired, event)
    this.requeued(queue, chunk, slot, due)
    queue.setState(lane, chunk, slot, state)
    chunk.wait(slot, due)
    this.wakeWhenDue(queue, lane, lsn, due)
  }

  private requeued(queue: Queue, chunk: Chunk, slot: number, due: number): void {
    if (chunk.flagsOf(slot) & EntryFlag.memory) return
    this.core.log.requeued(queue, chunk.lsnOf(slot), chunk.deliveriesOf(slot), chunk.failuresOf(slot), due)
    this.core.schedule()
  }

  private deadLetter(
    queue: Queue,
    lane: Lane,
    chunk: Chunk,
    slot: number,
    event: number,
    reason: DeadLetterReason,
    description: string,
  ): void {
    this.deadLetters.move({ place: { queue, lane, chunk, slot }, event, reason, description })
  }

  private leave(
    queue: Queue,
    lane: Lane,
    chunk: Chunk,
    slot: number,
    event: number,
    departure: Departure,
  ): void {
    const lsn = chunk.lsnOf(slot)
    const isVolatile = chunk.flagsOf(slot) & EntryFlag.memory
    queue.departed[departure]++
    queue.setState(lane, chunk, slot, transition(chunk.stateOf(slot), event))
    if (isVolatile) this.core.volatile.release(lsn)
    else if (departure === 'accepted') this.core.log.accepted(queue, lsn)
    else this.core.log.departed(queue, departure, lsn)
    this.core.schedule()
    if (queue.held > 0) this.core.roomIn(queue)
  }
}

/** Milliseconds, before jitter. A message that is rejected where it must stay may have no failure yet. */
function delayAfter({ delays, delay, multiplier, maxDelay }: Backoff, failures: number): number {
  const repeated = Math.max(0, failures - 1)
  if (delays !== undefined) return delays[Math.min(repeated, delays.length - 1)]!
  return Math.min(delay * multiplier ** repeated, maxDelay)
}

function isFree(state: number): boolean {
  return state === StateCode.ready || state === StateCode.waiting
}

function exclude(consumer: Consumer, lsn: number): void {
  consumer.excluded ??= new Set()
  consumer.excluded.add(lsn)
  if (consumer.excluded.size <= MAX_EXCLUDED) return
  for (const oldest of consumer.excluded) {
    consumer.excluded.delete(oldest)
    return
  }
}
