import type { DeadLetterReason } from '../model/delivery.ts'
import type { Core } from './core.ts'
import { encodeVolatile, enqueue } from './enqueue.ts'
import { type Chunk, EntryFlag } from './index/chunk.ts'
import type { Lane } from './index/lane.ts'
import { eventCode, StateCode, transition } from './lifecycle.ts'
import {
  OperationReader,
  OperationType,
  PublishFlag,
  PublishHead,
  readPublish,
  writePublish,
} from './ports/operations.ts'
import type { Slice } from './ports/store.ts'
import type { Queue } from './queue.ts'

const ACQUIRE = eventCode('acquire')
const DUE = eventCode('due')

/** Entries kept of a message's way through dead-letter queues; older ones are dropped. */
const MAX_HISTORY = 16

/** What a dead letter remembers, as JSON in the annotations of its publish operation. */
export interface DeadLetterHistory {
  readonly origin: {
    readonly queue: string
    readonly exchange: string
    readonly key: string
    readonly lsn: number
  }
  readonly reason: DeadLetterReason
  readonly description: string
  readonly history: readonly {
    readonly queue: string
    readonly reason: DeadLetterReason
    readonly description: string
    readonly deliveries: number
    readonly failures: number
    readonly at: number
  }[]
}

export interface Move {
  readonly queue: Queue
  readonly lane: Lane
  readonly chunk: Chunk
  readonly slot: number
  /** Code of the lifecycle event that ends it: reject or exhaust. */
  readonly event: number
  readonly reason: DeadLetterReason
  readonly description: string
}

const reader = new OperationReader()

/**
 * Moves messages to dead-letter queues. A dead letter is a new message with the old body that replaces the old one in the
 * same operation, so that it is at every moment in exactly one of the two queues.
 */
export class DeadLetters {
  private readonly core: Core
  private readonly damaged: (queue: Queue, lane: Lane, chunk: Chunk, slot: number) => void

  constructor(core: Core, damaged: (queue: Queue, lane: Lane, chunk: Chunk, slot: number) => void) {
    this.core = core
    this.damaged = damaged
  }

  move(move: Move): void {
    const { queue, lane, chunk, slot } = move
    this.hold(queue, lane, chunk, slot)
    const lsn = chunk.lsns[slot]!
    const size = chunk.sizes[slot]!
    queue.moving++
    queue.movingBytes += size
    this.core.withMessage(queue, lsn, chunk.flags[slot]!, (message) => {
      queue.moving--
      queue.movingBytes -= size
      if (chunk.lsns[slot] !== lsn || chunk.states[slot] !== StateCode.acquired) return
      const target = this.core.topology.deadLetterQueue(queue)
      if (message === null || target === undefined) this.damaged(queue, lane, chunk, slot)
      else this.transfer(move, message, target)
    })
  }

  /** While the message is loaded nobody else shall take it. */
  private hold(queue: Queue, lane: Lane, chunk: Chunk, slot: number): void {
    let state = chunk.states[slot]!
    if (state === StateCode.waiting) state = transition(state, DUE)
    if (state === StateCode.ready) state = transition(state, ACQUIRE)
    queue.setState(lane, chunk, slot, state)
  }

  private transfer(move: Move, message: Slice, target: Queue): void {
    const { queue, lane, chunk, slot, event } = move
    const head = new PublishHead()
    if (!readPublish(reader.reset(message.bytes, message.start, message.end), head)) {
      this.damaged(queue, lane, chunk, slot)
      return
    }
    const lsn = chunk.lsns[slot]!
    const flags = chunk.flags[slot]!
    head.annotations = JSON.stringify(this.annotate(move, head, lsn))
    this.address(head, queue, target, lsn)
    const payload = message.bytes.subarray(head.payloadStart, head.payloadEnd)
    const newLsn = flags & EntryFlag.memory ? this.keep(head, payload) : this.journal(head, payload)
    queue.departed['dead-lettered']++
    queue.setState(lane, chunk, slot, transition(StateCode.acquired, event))
    if (flags & EntryFlag.memory) this.core.volatile.release(lsn)
    enqueue(this.core, target, newLsn, head, flags)
    this.core.schedule()
    if (queue.held > 0) this.core.roomIn(queue)
  }

  private annotate(move: Move, head: PublishHead, lsn: number): DeadLetterHistory {
    const { queue, chunk, slot, reason, description } = move
    const before = head.annotations === '' ? null : (JSON.parse(head.annotations) as DeadLetterHistory)
    const key = head.flags & PublishFlag.direct ? queue.name : head.key
    const step = {
      queue: queue.name,
      reason,
      description,
      deliveries: chunk.deliveriesOf(slot),
      failures: chunk.failuresOf(slot),
      at: this.core.wall(),
    }
    return {
      origin: before?.origin ?? { queue: queue.name, exchange: head.exchange, key, lsn },
      reason,
      description,
      history: [step, ...(before?.history ?? [])].slice(0, MAX_HISTORY),
    }
  }

  /** A dead letter keeps the key it was sent with and does not expire; its producer's sequence was counted before. */
  private address(head: PublishHead, queue: Queue, target: Queue, lsn: number): void {
    if (head.flags & PublishFlag.direct) head.key = queue.name
    const dropped = PublishFlag.direct | PublishFlag.expires | PublishFlag.due | PublishFlag.producer
    head.flags = (head.flags & ~dropped) | PublishFlag.annotated | PublishFlag.replaces
    head.expiry = 0
    head.due = 0
    head.queues = [target.id]
    head.replacedQueue = queue.id
    head.replacedLsn = lsn
  }

  private keep(head: PublishHead, payload: Uint8Array): number {
    head.flags &= ~PublishFlag.replaces
    const lsn = this.core.log.skip()
    this.core.volatile.add(lsn, encodeVolatile(head, payload), 1)
    return lsn
  }

  private journal(head: PublishHead, payload: Uint8Array): number {
    const { log } = this.core
    writePublish(log.begin(OperationType.publish), head, payload)
    log.end()
    return log.lastOperation
  }
}
