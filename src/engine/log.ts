import type { Departure } from '../model/delivery.ts'
import { LsnList } from './index/lsn-list.ts'
import { OperationBatch, OperationType, SCHEDULE_QUEUE } from './ports/operations.ts'
import { departures, writeRuns } from './ports/settle-operation.ts'
import type { Store } from './ports/store.ts'
import type { Queue } from './queue.ts'

const BATCH_BYTES = 1 << 20
const BATCH_GAP = 0xfffff
const departureCodes = Object.fromEntries(departures.map((name, code) => [name, code])) as Record<
  Departure,
  number
>

/**
 * The engine's end of the store: gives out LSNs, gathers the operations of a turn into one batch, and knows how far the
 * store has got. Accepted messages are gathered per queue and become one settle operation a turn.
 */
export class Log {
  lastLsn = 0
  /** LSN of the last operation, as opposed to messages that are never written. */
  lastOperation = 0
  /** What the store has been given goes up to here. */
  committedLsn = 0
  written = 0
  durable = 0
  /** Bytes committed and not yet durable, as the engine counts them. */
  unsyncedBytes = 0
  private readonly store: Store
  private batch = new OperationBatch()
  /** Of a batch, as far as there were such lately. */
  private usualBytes = 0
  private usualCount = 0
  private readonly leaving: Queue[] = []
  /** As many as there have been queues with accepted messages in one turn. */
  private readonly spareLists: LsnList[] = []
  private readonly committed: { lsn: number; bytes: number }[] = []

  constructor(store: Store) {
    this.store = store
  }

  /** Whether a commit would have anything to hand over. */
  get pending(): boolean {
    return this.batch.count > 0 || this.leaving.length > 0
  }

  /** The LSN of a message that is never written. */
  skip(): number {
    return ++this.lastLsn
  }

  begin(type: number): OperationBatch {
    if (this.isFull()) this.submit()
    this.lastOperation = ++this.lastLsn
    this.batch.begin(type, this.lastOperation)
    return this.batch
  }

  end(): void {
    this.batch.end()
  }

  meta(operation: Readonly<Record<string, unknown>>): void {
    this.begin(OperationType.meta).putBytes(Buffer.from(JSON.stringify(operation)))
    this.end()
  }

  /** The message was accepted: its settlement goes out with the others of this queue at the end of the turn. */
  accepted(queue: Queue, lsn: number): void {
    if (queue.leaving === null) {
      queue.leaving = this.spareLists.pop() ?? new LsnList()
      this.leaving.push(queue)
    }
    queue.leaving.push(lsn)
  }

  /** The message left for another reason than being accepted. */
  departed(queue: Queue, departure: Departure, lsn: number): void {
    const batch = this.begin(OperationType.settle)
    batch.putVarint(queue.id)
    batch.putByte(departureCodes[departure])
    batch.putVarint(1)
    batch.putVarint(lsn)
    batch.putVarint(1)
    this.end()
  }

  /** Scheduled messages left without having been delivered; `targets` are the queues that each was for. */
  unscheduled(departure: Departure, lsns: Float64Array, targets: readonly number[]): void {
    const batch = this.begin(OperationType.settle)
    batch.putVarint(SCHEDULE_QUEUE)
    batch.putByte(departureCodes[departure])
    writeRuns(batch, lsns)
    batch.putList(targets)
    this.end()
  }

  /** A scheduled message has been delivered for the `deliveries`th time, and stays until wall milliseconds `due`. */
  rescheduled(lsn: number, deliveries: number, due: number): void {
    this.requeue(SCHEDULE_QUEUE, lsn, deliveries, 0, due)
  }

  /** Messages left together. */
  left(queue: Queue, departure: Departure, lsns: Float64Array): void {
    const batch = this.begin(OperationType.settle)
    batch.putVarint(queue.id)
    batch.putByte(departureCodes[departure])
    writeRuns(batch, lsns)
    this.end()
  }

  /** Redelivery state of a message that stays. `due` is wall milliseconds, 0: ready now. */
  requeued(queue: Queue, lsn: number, deliveries: number, failures: number, due: number): void {
    this.requeue(queue.id, lsn, deliveries, failures, due)
  }

  private requeue(queue: number, lsn: number, deliveries: number, failures: number, due: number): void {
    const batch = this.begin(OperationType.requeue)
    batch.putVarint(queue)
    batch.putVarint(1)
    batch.putVarint(lsn)
    batch.putVarint(deliveries)
    batch.putVarint(failures)
    batch.putVarint(due)
    this.end()
  }

  /** Hands what has gathered to the store. True when there was anything. */
  commit(): boolean {
    for (const queue of this.leaving) {
      const accepted = queue.leaving!
      queue.leaving = null
      this.left(queue, 'accepted', accepted.rising())
      accepted.count = 0
      this.spareLists.push(accepted)
    }
    this.leaving.length = 0
    if (this.batch.count === 0) return false
    this.submit()
    return true
  }

  /** The store has reached `lsn`. */
  becameDurable(lsn: number): void {
    this.durable = lsn
    if (lsn > this.committedLsn) this.committedLsn = lsn
    if (lsn > this.written) this.written = lsn
    let done = 0
    while (done < this.committed.length && this.committed[done]!.lsn <= lsn) {
      this.unsyncedBytes -= this.committed[done]!.bytes
      done++
    }
    if (done > 0) this.committed.splice(0, done)
  }

  /** A turn that publishes without end must not gather without end, and the LSNs of a batch lie close together. */
  private isFull(): boolean {
    const { batch } = this
    if (batch.count === 0) return false
    return batch.length >= BATCH_BYTES || this.lastLsn - batch.lsns[batch.count - 1]! > BATCH_GAP
  }

  /** What has gathered. The next batch will probably resemble it, or another that was not long ago: growing costs copies. */
  private take(): OperationBatch {
    const { batch } = this
    this.usualBytes = Math.max(batch.length, this.usualBytes - (this.usualBytes >> 3))
    this.usualCount = Math.max(batch.count, this.usualCount - (this.usualCount >> 3))
    // Its memory is for a larger one: a reader who keeps a message would keep all of it, and the rest would be garbage.
    const room = batch.bytes.length
    if (batch.length * 4 < room * 3 && room < this.usualBytes * 4) return batch.takeOut()
    const bytes = Math.min(Math.max(this.usualBytes + (this.usualBytes >> 3), 1024), BATCH_BYTES)
    const count = Math.min(Math.max(this.usualCount + (this.usualCount >> 3), 16), 8192)
    this.batch = new OperationBatch(bytes, count)
    return batch
  }

  private submit(): void {
    const batch = this.take()
    this.committedLsn = batch.lsns[batch.count - 1]!
    this.committed.push({ lsn: this.committedLsn, bytes: batch.length })
    this.unsyncedBytes += batch.length
    this.store.commit(batch)
  }
}
