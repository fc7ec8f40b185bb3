import type { Departure } from '../model/delivery.ts'
import type { QueueDefinition, QueuePolicy } from '../model/policy.ts'
import type { Consumer } from './consumer.ts'
import type { DeadLetterHistory } from './dead-letters.ts'
import { SeenIds } from './deduplication.ts'
import type { Chunk } from './index/chunk.ts'
import { Lane, type Residency } from './index/lane.ts'
import type { LsnList } from './index/lsn-list.ts'
import { LastValues } from './last-values.ts'
import { isHeld, isUndecided, StateCode } from './lifecycle.ts'
import { PublishFlag, type PublishHead } from './ports/operations.ts'
import type { Binding } from './routing/binding-set.ts'
import type { Assortment } from './selective/assortment.ts'
import type { Groups } from './selective/groups.ts'
import { positionOf } from './selective/row.ts'

const PRIORITIES = 10

/** One queue: its messages by priority, its consumers and its counts. */
export class Queue {
  readonly id: number
  readonly definition: QueueDefinition
  // What each message needs comes first: among thousands of queues every line of memory that it spans is waited for.
  readonly policy: QueuePolicy
  /** Index = priority; a lane exists once a message of that priority has come. */
  readonly lanes: (Lane | undefined)[] = new Array(PRIORITIES)
  consumers: Consumer[] = []
  /** Those that asked for their credit to be drained; null while nobody ever has. */
  draining: Set<Consumer> | null = null
  /** Who wants what; null while everybody takes everything and no message belongs to a group. */
  assortment: Assortment | null = null
  /** Null while it has had no message of a group. */
  groups: Groups | null = null
  /** Null while the policy does not ask for it. */
  readonly seen: SeenIds | null
  readonly values: LastValues | null
  /** Accepted in this turn, to be written as one settle operation. */
  leaving: LsnList | null = null
  /** The newest message, and the number of the step of the store that it was last said to wait for (see Arrivals). */
  newest = 0
  step = 0
  /** In the dispatcher's list. */
  scheduled = false
  /** A load that dispatch waits for is under way. */
  loading = false
  /** Whose turn it is among the consumers. */
  turn = 0
  waiting = 0
  acquired = 0
  published = 0
  delivered = 0
  /** Publications that wait for room. */
  held = 0
  readonly departed: Record<Departure, number> = {
    accepted: 0,
    expired: 0,
    'dead-lettered': 0,
    dropped: 0,
    purged: 0,
    quarantined: 0,
    moved: 0,
    'rolled-back': 0,
    cancelled: 0,
    replaced: 0,
  }
  exclusive = false
  deleting = false
  /** At recovery: the snapshot of this queue contains the operations up to here. */
  asOf = 0
  /** Connection that owns a connection-lived queue; 0: none. */
  owner = 0
  /** Messages that are to come into it when they are due: journalled ones, and those of level 'memory'. */
  scheduledMessages = 0
  scheduledInMemory = 0
  /** Of open transactions, or half: stored, and not messages yet. */
  pending = 0
  pendingBytes = 0
  /** Messages on their way to another queue, still counted here. */
  moving = 0
  movingBytes = 0
  readonly bindings: Set<Binding> = new Set()
  /** The last routing that chose this queue, so that several bindings store one copy. */
  routing = 0
  /** Wall time for which a sweep of expired messages is set; Infinity: none. */
  sweepAt: number = Number.POSITIVE_INFINITY
  /** For lifetime 'idle': monotonic time of the last use, and whether a deadline is set. */
  idleSince = 0
  idleWatched = false

  private readonly residency: Residency

  constructor(id: number, definition: QueueDefinition, residency: Residency) {
    this.id = id
    this.residency = residency
    this.definition = definition
    this.policy = definition.policy
    const { deduplication, lastValue } = definition.policy
    this.seen = deduplication === undefined ? null : new SeenIds(deduplication)
    this.values = lastValue === undefined ? null : new LastValues(lastValue)
  }

  get name(): string {
    return this.definition.name
  }

  get messages(): number {
    let sum = 0
    for (const lane of this.lanes) if (lane !== undefined) sum += lane.live
    return sum
  }

  get bytes(): number {
    let sum = 0
    for (const lane of this.lanes) if (lane !== undefined) sum += lane.bytes
    return sum
  }

  get ready(): number {
    let sum = 0
    for (const lane of this.lanes) if (lane !== undefined) sum += lane.ready
    return sum
  }

  /** There is nothing to be handed out, and nobody who waits to hear that. */
  get isIdle(): boolean {
    if (this.assortment !== null || (this.draining !== null && this.draining.size > 0)) return false
    const { lanes } = this
    for (let priority = 0; priority < PRIORITIES; priority++) {
      const lane = lanes[priority]
      if (lane !== undefined && lane.ready > 0) return false
    }
    return true
  }

  lane(priority: number): Lane {
    let lane = this.lanes[priority]
    if (lane === undefined) {
      lane = new Lane(priority, this.residency, this)
      this.lanes[priority] = lane
    }
    return lane
  }

  /** Lanes that exist, most urgent first. */
  *urgentFirst(): Generator<Lane> {
    for (let priority = PRIORITIES - 1; priority >= 0; priority--) {
      const lane = this.lanes[priority]
      if (lane !== undefined) yield lane
    }
  }

  /**
   * When a message expires here: at its own time or by the queue's time to live, whichever comes first; 0: never. That of a
   * dead letter begins when it arrives, or a message that took long to fail would vanish at once.
   */
  expiryOf(head: PublishHead): number {
    const { ttl } = this.policy
    if (ttl === undefined) return head.expiry
    const isDeadLetter = head.flags & PublishFlag.annotated
    const byPolicy = (isDeadLetter ? arrivalOf(head.annotations) : head.publishedAt) + ttl
    return head.expiry === 0 ? byPolicy : Math.min(head.expiry, byPolicy)
  }

  /** Moves a slot to `state` and keeps the counts. The chunk may be cleared by it: read what you need before. */
  setState(lane: Lane, chunk: Chunk, slot: number, state: number): void {
    const before = chunk.stateOf(slot)
    if (before === state) return
    if (before === StateCode.acquired) this.acquired--
    else if (before === StateCode.waiting) this.waiting--
    else if (isUndecided(before)) this.countUndecided(-1, chunk.sizeOf(slot))
    if (state === StateCode.acquired) this.acquired++
    else if (state === StateCode.waiting) this.waiting++
    else if (isUndecided(state)) this.countUndecided(1, chunk.sizeOf(slot))
    if (this.values !== null && !isHeld(state)) this.values.gone(chunk.lsnOf(slot))
    this.groups?.changed(chunk.groupOf(slot), before, state)
    if (state === StateCode.ready) this.assortment?.arrive(positionOf(lane.priority, chunk.lsnOf(slot)))
    lane.setState(chunk, slot, state)
  }

  countUndecided(sign: 1 | -1, size: number): void {
    this.pending += sign
    this.pendingBytes += sign * size
  }

  /** The entry just appended begins in another state than ready. */
  setNewest(lane: Lane, state: number): void {
    const chunk = lane.chunks[lane.chunks.length - 1]!
    this.setState(lane, chunk, chunk.length - 1, state)
  }

  /** Wall milliseconds before which no message of the queue expires. */
  get minExpiry(): number {
    let min = Number.POSITIVE_INFINITY
    for (const lane of this.lanes) {
      if (lane === undefined) continue
      for (const chunk of lane.living()) if (chunk.minExpiry < min) min = chunk.minExpiry
    }
    return min
  }
}

/** Wall milliseconds at which the dead letter with these annotations came into its queue. */
function arrivalOf(annotations: string): number {
  return (JSON.parse(annotations) as DeadLetterHistory).history[0]!.at
}
