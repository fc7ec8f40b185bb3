import type { Departure } from '../model/delivery.ts'
import type { Core } from './core.ts'
import { departureByReplacement, lastFailureOf } from './dead-letters.ts'
import { enqueue } from './enqueue.ts'
import { type Chunk, EntryFlag } from './index/chunk.ts'
import type { Lane } from './index/lane.ts'
import type { Patch } from './index/page-changes.ts'
import { isHeld, isUndecided, StateCode } from './lifecycle.ts'
import {
  OperationReader,
  OperationType,
  PublishFlag,
  PublishHead,
  readList,
  readPublish,
  SCHEDULE_QUEUE,
} from './ports/operations.ts'
import { departures, forEachSettled } from './ports/settle-operation.ts'
import type { Queue } from './queue.ts'
import type { RecoveredQueues } from './recovered-queues.ts'
import type { RecoveredTransactions } from './recovered-transactions.ts'
import type { ScheduleMemento } from './schedule/memento.ts'
import type { Settlements } from './settlements.ts'
import type { Snapshots } from './snapshot.ts'
import type { TopologyChange } from './topology.ts'

/** A producer identity as journalled. */
export interface ProducerChange {
  readonly op: 'producer'
  readonly id: string
  readonly handle: number
}

/** Applies the operations of the journal to the engine's state, as they were applied when they were new. */
export class Recovery {
  private readonly core: Core
  private readonly snapshots: Snapshots
  private readonly settlements: Settlements
  private readonly schedule: ScheduleMemento
  private readonly recovered: RecoveredTransactions
  private readonly queues: RecoveredQueues
  private readonly reader = new OperationReader()
  private readonly head = new PublishHead()
  private readonly patched = new Map<Chunk, { queue: Queue; lane: Lane }>()

  constructor(
    core: Core,
    snapshots: Snapshots,
    settlements: Settlements,
    recovered: { transactions: RecoveredTransactions; queues: RecoveredQueues },
  ) {
    this.core = core
    this.recovered = recovered.transactions
    this.queues = recovered.queues
    this.snapshots = snapshots
    this.settlements = settlements
    this.schedule = snapshots.schedule
  }

  apply(lsn: number, type: number, bytes: Uint8Array, start: number, end: number): void {
    this.core.log.becameDurable(lsn)
    this.core.log.lastLsn = Math.max(this.core.log.lastLsn, lsn)
    const reader = this.reader.reset(bytes, start, end)
    if (type === OperationType.publish) this.publish(lsn, reader)
    else if (type === OperationType.settle) this.settle(lsn, reader)
    else if (type === OperationType.requeue) this.requeue(lsn, reader)
    else if (type === OperationType.decide) this.recovered.decided(lsn, reader)
    else if (type === OperationType.enlist) this.recovered.enlisted(lsn, reader)
    else if (type === OperationType.meta)
      this.meta(lsn, Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start))
    this.core.pager.makeRoom()
  }

  /** Binds, and loads the pages that the journal says something about, so that all counts are right afterwards. */
  async finish(): Promise<void> {
    this.snapshots.bindings.finish(this.core.topology)
    for (const [chunk, { queue, lane }] of this.patched) {
      await new Promise<void>((done) => this.core.pager.load(queue, lane, chunk, done))
    }
    this.patched.clear()
    this.schedule.finish()
  }

  private publish(lsn: number, reader: OperationReader): void {
    const { head, core } = this
    if (!readPublish(reader, head)) return
    core.sawWall(head.publishedAt)
    const flags = head.flags & PublishFlag.os ? EntryFlag.os : 0
    const state = firstStateOf(head)
    // Before, a queue may have gone while the checkpoint was taken.
    if (lsn > this.snapshots.topologyAsOf)
      this.queues.named(head.flags & PublishFlag.due ? head.targets : head.queues)
    for (const id of head.queues) {
      const queue = core.topology.byId.get(id)
      if (queue !== undefined && lsn > queue.asOf) enqueue(core, queue, lsn, head, flags, state)
    }
    if (state !== StateCode.ready) this.recovered.published(lsn, head)
    if (head.flags & PublishFlag.due) this.schedule.entered(lsn, head)
    if (head.flags & PublishFlag.replaces && head.replacedQueue === SCHEDULE_QUEUE) {
      this.schedule.fired(lsn, head.replacedLsn, head.queues)
      this.recovered.leftSchedule(lsn, head.replacedLsn)
    } else if (head.flags & PublishFlag.replaces) {
      const from = core.topology.byId.get(head.replacedQueue)?.name ?? ''
      this.change(
        lsn,
        head.replacedQueue,
        head.replacedLsn,
        departureByReplacement(lastFailureOf(head), from),
      )
    }
    if (head.flags & PublishFlag.producer && lsn > this.snapshots.producersAsOf) {
      core.producers.stored(head.producer, head.sequence, core.wall())
    }
  }

  private settle(lsn: number, reader: OperationReader): void {
    const id = reader.varint()
    const departure = departures[reader.byte()] ?? 'accepted'
    if (id === SCHEDULE_QUEUE) this.unscheduled(lsn, reader, departure)
    else forEachSettled(reader, (settled) => this.change(lsn, id, settled, departure), lsn)
  }

  /** The queues that the messages were for follow behind their LSNs. */
  private unscheduled(lsn: number, reader: OperationReader, departure: Departure): void {
    const settled: number[] = []
    if (!forEachSettled(reader, (one) => settled.push(one), lsn)) return
    const targets = readList(reader)
    for (const one of settled) {
      this.schedule.departed(lsn, one, targets, departure)
      this.recovered.leftSchedule(lsn, one)
    }
  }

  private requeue(lsn: number, reader: OperationReader): void {
    const id = reader.varint()
    const queue = this.core.topology.byId.get(id)
    for (let left = reader.varint(); left > 0 && !reader.failed; left--) {
      const entry = reader.varint()
      const patch = {
        lsn: entry,
        gone: false,
        deliveries: reader.varint(),
        failures: reader.varint(),
        due: reader.varint(),
      }
      if (reader.failed) return
      if (id === SCHEDULE_QUEUE) this.schedule.rescheduled(lsn, entry, patch.deliveries, patch.due)
      if (queue === undefined) continue
      this.recovered.settled(queue.id, entry)
      if (lsn > queue.asOf) this.patch(queue, patch)
    }
  }

  private meta(lsn: number, json: Buffer): void {
    const change = parse(json)
    if (change === null) return
    if (change.op === 'producer') {
      const { core } = this
      const { producers } = core
      if (!producers.has(change.handle)) producers.add(change.id, change.handle, core.wall())
    } else if (lsn > this.snapshots.topologyAsOf) {
      const { topology } = this.core
      this.snapshots.bindings.apply(lsn, change, topology)
      if (change.op !== 'bind' && change.op !== 'unbind') topology.apply(change)
      if (change.op === 'queue') this.queues.declared(change.id)
    }
  }

  private change(lsn: number, id: number, entry: number, departure: Departure): void {
    this.recovered.settled(id, entry)
    const queue = this.core.topology.byId.get(id)
    if (queue === undefined || lsn <= queue.asOf) return
    queue.departed[departure]++
    queue.values?.gone(entry)
    this.patch(queue, { lsn: entry, gone: true, deliveries: 0, failures: 0, due: 0 })
  }

  /** Applies to an entry what became of it; to one that lies in a page when the page is loaded. */
  private patch(queue: Queue, patch: Patch): void {
    for (const lane of queue.urgentFirst()) {
      const chunk = lane.chunkOf(patch.lsn)
      if (chunk === null) continue
      if (!chunk.resident) {
        // The chunks of several lanes may span this LSN; each page ignores what it does not hold.
        chunk.patch(patch)
        this.patched.set(chunk, { queue, lane })
        if (chunk.isExhausted && isOnlyLane(queue, lane)) this.abandon(lane, chunk)
        continue
      }
      const slot = chunk.find(patch.lsn)
      if (slot < 0 || !isHeld(chunk.stateOf(slot))) continue
      this.patchSlot(queue, lane, chunk, slot, patch)
      return
    }
  }

  /** A queue that was drained since the checkpoint: its pages need not be read to know that nothing is left in them. */
  private abandon(lane: Lane, chunk: Chunk): void {
    const { live, ready, liveBytes } = chunk
    chunk.abandon()
    lane.account(chunk, live, ready, liveBytes)
    this.patched.delete(chunk)
  }

  private patchSlot(queue: Queue, lane: Lane, chunk: Chunk, slot: number, patch: Patch): void {
    const { live, ready, liveBytes } = chunk
    if (chunk.stateOf(slot) === StateCode.waiting) {
      queue.waiting--
      queue.groups?.unparked(chunk.groupOf(slot))
    } else if (isUndecided(chunk.stateOf(slot))) queue.countUndecided(-1, chunk.sizeOf(slot))
    chunk.applyPatch(slot, patch)
    if (patch.due > 0) this.settlements.foundWaiting(queue, lane, chunk, [slot])
    lane.account(chunk, live, ready, liveBytes)
  }
}

function isOnlyLane(queue: Queue, lane: Lane): boolean {
  return queue.lanes.every((other) => other === undefined || other === lane)
}

/** In which state the message was stored. */
function firstStateOf({ flags }: PublishHead): number {
  if (flags & PublishFlag.prepared) return StateCode.prepared
  return flags & PublishFlag.transacted ? StateCode.pending : StateCode.ready
}

function parse(json: Buffer): TopologyChange | ProducerChange | null {
  try {
    return JSON.parse(json.toString()) as TopologyChange | ProducerChange
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
}
