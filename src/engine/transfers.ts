import { DEFAULT_EXCHANGE } from '../model/destination.ts'
import type { Core } from './core.ts'
import { encodeVolatile, enqueue } from './enqueue.ts'
import { type Chunk, EntryFlag } from './index/chunk.ts'
import type { Lane } from './index/lane.ts'
import { eventCode, StateCode, transition } from './lifecycle.ts'
import {
  isSentTo,
  OperationReader,
  OperationType,
  PublishFlag,
  PublishHead,
  readPublish,
  writePublish,
} from './ports/operations.ts'
import { Slice } from './ports/store.ts'
import type { Queue } from './queue.ts'
import { keysOnArrival } from './replacement.ts'

const ACQUIRE = eventCode('acquire')
const DUE = eventCode('due')
const RELEASE = eventCode('release')

/** A message in a queue. */
export interface Place {
  readonly queue: Queue
  readonly lane: Lane
  readonly chunk: Chunk
  readonly slot: number
}

export interface Transfer {
  /** Code of the lifecycle event that ends the message where it is. */
  readonly event: number
  readonly departure: 'dead-lettered' | 'moved'
  /** Says in the head what changes and answers where it goes; undefined: it stays. `lsn` is what it was called so far. */
  address(head: PublishHead, lsn: number): Queue | undefined
  /** It is damaged, stays because it has no address, or was gone meanwhile. Held still, unless it was gone. */
  failed(why: 'damaged' | 'stays' | 'gone'): void
  done?(): void
}

const reader = new OperationReader()

/**
 * Moves messages between queues. What arrives is a new message with the old body that replaces the old one in the same
 * operation, so that it is at every moment in exactly one of the two queues.
 */
export class Transfers {
  private readonly core: Core
  private readonly body = new Slice()
  /** For each message that is still being loaded, who waits until it has been moved. */
  private readonly underWay: Set<(() => void)[]> = new Set()

  constructor(core: Core) {
    this.core = core
  }

  move(place: Place, transfer: Transfer): void {
    const { queue, lane, chunk, slot } = place
    this.hold(place)
    const lsn = chunk.lsnOf(slot)
    const size = chunk.sizeOf(slot)
    queue.moving++
    queue.movingBytes += size
    const waiters: (() => void)[] = []
    this.underWay.add(waiters)
    this.withBeginning(queue, lsn, chunk.flagsOf(slot), (message) => {
      queue.moving--
      queue.movingBytes -= size
      if (chunk.lsnOf(slot) !== lsn || chunk.stateOf(slot) !== StateCode.acquired) transfer.failed('gone')
      else if (message === null) transfer.failed('damaged')
      else this.replace({ queue, lane, chunk, slot }, transfer, message)
      this.underWay.delete(waiters)
      for (const waiter of waiters) waiter()
    })
  }

  /** Calls back, at once if it can, when all moves that have been asked for are in the log. */
  afterAll(done: () => void): void {
    let left = this.underWay.size
    if (left === 0) return done()
    for (const waiters of this.underWay) {
      waiters.push(() => {
        if (--left === 0) done()
      })
    }
  }

  /** Gives a message back that was held to be moved. */
  letGo({ queue, lane, chunk, slot }: Place): void {
    const lsn = chunk.lsnOf(slot)
    queue.setState(lane, chunk, slot, transition(StateCode.acquired, RELEASE))
    if (queue.values !== null) this.core.cameBack(queue, lsn)
  }

  /** While the message is loaded nobody else shall take it. */
  hold({ queue, lane, chunk, slot }: Place): void {
    let state = chunk.stateOf(slot)
    if (state === StateCode.waiting) state = transition(state, DUE)
    if (state === StateCode.ready) state = transition(state, ACQUIRE)
    queue.setState(lane, chunk, slot, state)
  }

  /** Of a body in chunks the first one too, in which a queue that keeps last values finds the key. */
  private withBeginning(
    queue: Queue,
    lsn: number,
    flags: number,
    use: (message: Slice | null) => void,
  ): void {
    const { core } = this
    core.withMessage(queue, lsn, flags, (message) => {
      const head = new PublishHead()
      if (message === null || !readPublish(reader.reset(message.bytes, message.start, message.end), head))
        return use(message)
      const first = head.chunks[0]
      if (first === undefined || core.store.chunk(first, this.body)) return use(message)
      const { bytes, start, end } = message
      core.load(0, [first], () => {
        use(Object.assign(new Slice(), { bytes, start, end }))
        core.schedule()
      })
    })
  }

  private beginningOf(head: PublishHead, payload: Uint8Array): Uint8Array {
    const first = head.chunks[0]
    if (first === undefined) return payload
    if (!this.core.store.chunk(first, this.body)) return payload
    return this.body.bytes.subarray(this.body.start, this.body.end)
  }

  private replace(place: Place, transfer: Transfer, message: Slice): void {
    const { queue, lane, chunk, slot } = place
    const head = new PublishHead()
    if (!readPublish(reader.reset(message.bytes, message.start, message.end), head)) {
      transfer.failed('damaged')
      return
    }
    const lsn = chunk.lsnOf(slot)
    const flags = chunk.flagsOf(slot)
    // It keeps the key that it was sent with.
    if (isSentTo(head, queue.name)) {
      head.exchange = DEFAULT_EXCHANGE
      head.key = queue.name
    }
    const target = transfer.address(head, lsn)
    if (target === undefined) {
      transfer.failed('stays')
      return
    }
    this.label(head, queue, target, lsn)
    const payload = message.bytes.subarray(head.payloadStart, head.payloadEnd)
    if (target.values !== null) this.setKeys(target, head, payload)
    const newLsn = flags & EntryFlag.memory ? this.keep(head, payload) : this.journal(head, payload)
    queue.departed[transfer.departure]++
    queue.setState(lane, chunk, slot, transition(StateCode.acquired, transfer.event))
    if (flags & EntryFlag.memory) this.core.volatile.release(lsn)
    enqueue(this.core, target, newLsn, head, flags)
    this.core.schedule()
    if (queue.held > 0) this.core.roomIn(queue)
    transfer.done?.()
  }

  /** Its producer's sequence, its id and its transaction were decided before; where it goes its id does not count. */
  private label(head: PublishHead, queue: Queue, target: Queue, lsn: number): void {
    const dropped =
      PublishFlag.direct |
      PublishFlag.due |
      PublishFlag.producer |
      PublishFlag.deduplicated |
      PublishFlag.keyed
    const decided = PublishFlag.transacted | PublishFlag.prepared | PublishFlag.composite
    head.flags = (head.flags & ~dropped & ~decided) | PublishFlag.replaces
    head.due = 0
    head.queues = [target.id]
    head.replacedQueue = queue.id
    head.replacedLsn = lsn
  }

  private setKeys(target: Queue, head: PublishHead, payload: Uint8Array): void {
    head.keys = keysOnArrival(this.core.contents, target, head.format, this.beginningOf(head, payload))
    if (head.keys.length > 0) head.flags |= PublishFlag.keyed
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
