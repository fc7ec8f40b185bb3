import { Arrivals } from './arrivals.ts'
import { choose } from './choice.ts'
import type { Consumer } from './consumer.ts'
import type { Core } from './core.ts'
import { SharedHeads } from './delivery-record.ts'
import { type Chunk, EntryFlag } from './index/chunk.ts'
import type { Lane } from './index/lane.ts'
import { eventCode, StateCode, transition } from './lifecycle.ts'
import { Slice } from './ports/store.ts'
import type { Queue } from './queue.ts'
import { SelectiveDispatch } from './selective/selective-dispatch.ts'
import type { Settlements } from './settlements.ts'

const ACQUIRE = eventCode('acquire')
/** Deliveries from one queue in one turn; then the others have theirs, and the disk something to write. */
const TURN_DELIVERIES = 512
/** Messages asked for at once when they are not in memory; what is further behind the first than this is far away. */
const LOAD_AHEAD = 256
const LOAD_SPAN = 2 ** 19
/** Also when there is credit for fewer: each time somebody waits for the disk. */
const LEAST_AHEAD = 32
/**
 * Queues handed out from before their deliveries are handed over: what is settled at once finds their indexes still in a
 * cache. With thousands of queues at work in one turn, it would be looked for in memory again.
 */
const PORTION = 64
/** The next chunk is brought in when so many messages are left in this one. */
const NEARLY_EMPTY = 384

/** The way out: gives visible ready messages to consumers with credit, most urgent and oldest first. */
export class Dispatcher {
  private readonly core: Core
  private readonly selective: SelectiveDispatch
  settlements!: Settlements
  private scheduled: Queue[] = []
  private readonly toBeWritten = new Arrivals()
  private readonly toBeDurable = new Arrivals()
  private readonly slice = new Slice()
  private readonly heads = new SharedHeads()

  constructor(core: Core) {
    this.core = core
    this.selective = new SelectiveDispatch(core, this, () => this.settlements)
    core.dispatch = () => this.run()
    core.entered = (queue, lsn, flags) => this.entered(queue, lsn, flags)
  }

  /**
   * Something changed: a consumer came, credit was granted, a message came back. An idle queue is told from others at once,
   * while it is at hand: among thousands, looking at it later costs more than all else.
   */
  readonly schedule = (queue: Queue): void => {
    if (!queue.scheduled && queue.consumers.length > 0 && !queue.isIdle) this.arrived(queue)
  }

  /** The store has got further: messages have become visible. */
  advanced(): void {
    const { log } = this.core
    this.settlements.replacement.advanced()
    this.toBeWritten.reached(log.written, this.arrived)
    this.toBeDurable.reached(log.durable, this.arrived)
  }

  /** Messages of the queue have become visible. Whether anybody takes them is seen when its turn comes. */
  private readonly arrived = (queue: Queue): void => {
    if (queue.scheduled) return
    queue.scheduled = true
    this.scheduled.push(queue)
    this.core.schedule()
  }

  private entered(queue: Queue, lsn: number, flags: number): void {
    const { core } = this
    queue.newest = lsn
    // What a start reads from the journal is durable: nothing has to be remembered for each message of it.
    if (core.isVisible(lsn, flags)) this.schedule(queue)
    else (flags & EntryFlag.os ? this.toBeWritten : this.toBeDurable).note(queue, lsn, core.log.committedLsn)
  }

  private run(): void {
    const queues = this.scheduled
    this.scheduled = []
    let inPortion = 0
    for (const queue of queues) {
      queue.scheduled = false
      if (queue.consumers.length === 0) continue
      this.dispatch(queue)
      this.finishDrains(queue)
      if (++inPortion < PORTION) continue
      inPortion = 0
      this.core.tell()
    }
  }

  /** Nothing more can be handed out now: credit that is to be drained lapses. */
  private finishDrains(queue: Queue): void {
    if (queue.loading || queue.scheduled) return
    if (queue.draining === null) return
    for (const consumer of queue.draining) {
      if (this.selective.mayHaveMore(consumer)) continue
      queue.draining.delete(consumer)
      const lapsed = consumer.credit
      consumer.credit = 0
      for (const done of consumer.draining.splice(0)) consumer.connection.tellAfter(() => done(lapsed))
      this.core.touch(consumer.connection)
    }
  }

  private dispatch(queue: Queue): void {
    if (queue.assortment !== null) return this.selective.dispatch(queue.assortment)
    if (queue.loading) return
    let budget = TURN_DELIVERIES
    for (let priority = queue.lanes.length - 1; priority >= 0; priority--) {
      const lane = queue.lanes[priority]
      if (lane === undefined || lane.ready === 0) continue
      budget = this.drain(queue, lane, budget)
      if (budget === 0) return
    }
  }

  /** Hands out from one lane; answers what is left of the budget, 0 when nothing more can go out in this turn. */
  private drain(queue: Queue, lane: Lane, budget: number): number {
    let number = -1
    let from = 0
    while (budget > 0) {
      const chunk = lane.chunkWithReady(number)
      if (chunk === null) return budget
      if (chunk.number !== number) {
        number = chunk.number
        from = 0
        if (!this.bringIn(queue, lane, chunk)) return 0
      }
      const slot = chunk.nextReady(from)
      if (slot < 0) {
        number++
        from = 0
        continue
      }
      const lsn = chunk.lsnOf(slot)
      if (!this.core.isVisible(lsn, chunk.flagsOf(slot))) return budget
      const consumer = choose(queue, lsn)
      if (consumer === null) return 0
      if (consumer === undefined) {
        from = slot + 1
        continue
      }
      if (!this.handOut(queue, lane, chunk, slot, consumer)) {
        this.loadAhead(queue, chunk, slot)
        return 0
      }
      budget--
    }
    this.schedule(queue)
    return 0
  }

  /** The chunk must be resident, and the next one soon. */
  private bringIn(queue: Queue, lane: Lane, chunk: Chunk): boolean {
    // Not earlier than it is needed, or many queues would each have a chunk more in memory.
    const next = chunk.ready < NEARLY_EMPTY ? lane.after(chunk) : undefined
    if (next !== undefined && !next.resident && next.live > 0)
      this.core.pager.load(queue, lane, next, () => this.schedule(queue))
    if (chunk.resident) return true
    queue.loading = true
    this.core.pager.load(queue, lane, chunk, () => {
      queue.loading = false
      this.schedule(queue)
    })
    return false
  }

  /** False when the message has to be loaded first. One that has expired or is damaged goes another way. */
  handOut(queue: Queue, lane: Lane, chunk: Chunk, slot: number, consumer: Consumer): boolean {
    const { core } = this
    const expiry = chunk.expiryOf(slot)
    if (expiry > 0 && expiry <= core.clock.wall()) {
      this.settlements.expire(queue, lane, chunk, slot)
      return true
    }
    const lsn = chunk.lsnOf(slot)
    // It lay in a page when it was replaced.
    if (queue.values?.isOutdated(lsn)) {
      this.settlements.discard(queue, lane, chunk, slot, 'replaced')
      return true
    }
    const flags = chunk.flagsOf(slot)
    if (!core.read(queue, lsn, flags, this.slice)) {
      return false
    }
    const record = consumer.nextRecord()
    if (!record.read(this.slice, queue.name, this.heads, lsn)) {
      consumer.dropRecord()
      this.settlements.discard(queue, lane, chunk, slot, 'quarantined')
      return true
    }
    queue.setState(lane, chunk, slot, transition(StateCode.ready, ACQUIRE))
    chunk.setDeliveries(slot, chunk.deliveriesOf(slot) + 1)
    queue.delivered++
    record.tag = consumer.hold(chunk, slot, this.timeOfDelivery(queue))
    record.lsn = lsn
    record.expiry = expiry
    record.deliveryCount = chunk.deliveriesOf(slot)
    record.durable = (flags & EntryFlag.memory) === 0
    if (consumer.hasFirst) consumer.connection.willDeliver(consumer)
    core.touch(consumer.connection)
    this.watch(consumer)
    return true
  }

  /** Only a queue with a delivery timeout needs to know; the clock is not free. */
  private timeOfDelivery(queue: Queue): number {
    return queue.policy.deliveryTimeout === undefined ? 0 : this.core.clock.monotonic()
  }

  private loadAhead(queue: Queue, chunk: Chunk, slot: number): void {
    const lsns: number[] = []
    const last = chunk.lsnOf(slot) + LOAD_SPAN
    const most = mostAhead(queue)
    for (let at = slot; at >= 0 && lsns.length < most; at = chunk.nextReady(at + 1)) {
      if (chunk.lsnOf(at) > last) break
      if (!(chunk.flagsOf(at) & EntryFlag.memory)) lsns.push(chunk.lsnOf(at))
    }
    this.load(queue, lsns)
  }

  /** Brings messages in, the first of them for certain; then the queue goes on. */
  load(queue: Queue, lsns: readonly number[]): void {
    queue.loading = true
    const done = (damaged: readonly number[]): void => {
      queue.loading = false
      for (const lsn of damaged) this.settlements.damaged(queue, lsn)
      this.again(queue)
    }
    this.core.store.load(queue.id, lsns, done, 1)
  }

  /** At once: what was loaded is certain to be in memory only now. */
  again(queue: Queue): void {
    this.dispatch(queue)
    this.finishDrains(queue)
    this.core.schedule()
  }

  private watch(consumer: Consumer): void {
    const timeout = consumer.queue.policy.deliveryTimeout
    if (timeout === undefined || consumer.watched) return
    consumer.watched = true
    this.core.deadlines.add(consumer.oldestTime + timeout, () => {
      consumer.watched = false
      const now = this.core.clock.monotonic()
      while (consumer.unsettled > 0 && consumer.oldestTime + timeout <= now) {
        this.settlements.timedOut(consumer, consumer.firstTag)
      }
      if (consumer.unsettled > 0) this.watch(consumer)
    })
  }
}

/** What nobody has credit for would be looked for again before it is handed out. */
function mostAhead({ consumers }: Queue): number {
  let credit = 0
  for (let i = 0; i < consumers.length && credit < LOAD_AHEAD; i++) credit += consumers[i]!.credit
  return Math.max(LEAST_AHEAD, Math.min(LOAD_AHEAD, credit))
}
