import {
  OperationBatch,
  OperationReader,
  OperationType,
  PublishFlag,
  PublishHead,
  readPublish,
  writePublish,
} from '../../engine/ports/operations.ts'
import { forEachSettled } from '../../engine/ports/settle-operation.ts'
import type { Slice, Store, StoreClient } from '../../engine/ports/store.ts'
import type { MillraceError } from '../../model/errors.ts'

const SECTIONS = 4

interface Section {
  readonly number: number
  readonly asOf: number
  readonly held: readonly (readonly [lsn: number, queues: readonly number[]])[]
}

/** An engine that only keeps books: what it published and settled, and what the store told it. */
export class BookKeeper implements StoreClient {
  nextLsn = 1
  writtenLsn = 0
  durableLsn = 0
  readonly spaces: boolean[] = []
  failure: MillraceError | undefined
  /** Messages by LSN, with the queues that hold them. Rebuilt by recovery. */
  readonly held: Map<number, Set<number>> = new Map()
  applied = 0
  readonly losses: [number, number][] = []
  /** Pages that it names, in whatever its sections say. */
  readonly named: Set<number> = new Set()
  onWritten: (lsn: number) => void = () => {}
  onDurable: (lsn: number) => void = () => {}
  private waiters: { readonly lsn: number; readonly resolve: () => void }[] = []
  private readonly asOf: number[] = Array.from({ length: SECTIONS }, () => 0)
  private appliedLsn = 0
  private batch = new OperationBatch()

  restore(section: Uint8Array): void {
    const { number, asOf, held } = JSON.parse(Buffer.from(section).toString()) as Section
    this.asOf[number] = asOf
    for (const [lsn, queues] of held) this.held.set(lsn, new Set(queues))
  }

  apply(lsn: number, type: number, bytes: Uint8Array, start: number, end: number): void {
    this.applied++
    if (lsn <= this.appliedLsn) throw new Error(`operation ${lsn} comes after ${this.appliedLsn}`)
    this.appliedLsn = lsn
    const isNew = (message: number) => lsn > this.asOf[message % SECTIONS]!
    decode(type, bytes, start, end, lsn, this.held, isNew)
  }

  pages(): Iterable<number> {
    return this.named
  }

  /** Messages fall into sections by their LSN; each section is as of the moment when it is asked for. */
  *snapshot(): Iterable<Uint8Array> {
    for (let number = 0; number < SECTIONS; number++) {
      const held = [...this.held]
        .filter(([lsn]) => lsn % SECTIONS === number)
        .map(([lsn, queues]): readonly [number, number[]] => [lsn, [...queues]])
      const section: Section = { number, asOf: this.nextLsn - 1, held }
      yield Buffer.from(JSON.stringify(section))
    }
  }

  lost(first: number, last: number): void {
    this.losses.push([first, last])
    for (const lsn of [...this.held.keys()]) if (lsn >= first && lsn <= last) this.held.delete(lsn)
  }

  written(lsn: number): void {
    this.writtenLsn = lsn
    this.onWritten(lsn)
  }

  durable(lsn: number): void {
    this.durableLsn = lsn
    this.onDurable(lsn)
    this.waiters = this.waiters.filter((waiter) => {
      if (waiter.lsn > lsn) return true
      waiter.resolve()
      return false
    })
  }

  /** Resolves when the store has said that `lsn` is durable. */
  durableUpTo(lsn: number): Promise<void> {
    if (this.durableLsn >= lsn) return Promise.resolve()
    return new Promise((resolve) => this.waiters.push({ lsn, resolve }))
  }

  space(available: boolean): void {
    this.spaces.push(available)
  }

  failed(error: MillraceError): void {
    this.failure = error
  }

  /** Adds a publish operation to the batch; answers its LSN. */
  publish(
    queues: number | readonly number[],
    payload: string | Uint8Array,
    options: { replaces?: readonly [queue: number, lsn: number]; chunks?: readonly number[] } = {},
  ): number {
    const lsn = this.nextLsn++
    const head = new PublishHead()
    head.flags = PublishFlag.direct
    head.queues = typeof queues === 'number' ? [queues] : [...queues]
    if (options.replaces) {
      head.flags |= PublishFlag.replaces
      head.replacedQueue = options.replaces[0]
      head.replacedLsn = options.replaces[1]
      this.release(options.replaces[0], options.replaces[1])
    }
    if (options.chunks) {
      head.flags |= PublishFlag.chunked
      head.size = 1
      head.chunks = [...options.chunks]
    }
    this.batch.begin(OperationType.publish, lsn)
    writePublish(this.batch, head, typeof payload === 'string' ? Buffer.from(payload) : payload)
    this.batch.end()
    if (head.queues.length > 0) this.held.set(lsn, new Set(head.queues))
    return lsn
  }

  chunk(payload: string | Uint8Array): number {
    const lsn = this.nextLsn++
    this.batch.begin(OperationType.chunk, lsn)
    this.batch.putBytes(typeof payload === 'string' ? Buffer.from(payload) : payload)
    this.batch.end()
    return lsn
  }

  /** Settles messages of one queue; answers the LSN of the operation. */
  settle(queue: number, lsns: readonly number[]): number {
    const lsn = this.nextLsn++
    this.batch.begin(OperationType.settle, lsn)
    this.batch.putVarint(queue)
    this.batch.putByte(0)
    const sorted = [...lsns].sort((a, b) => a - b)
    const runs: [number, number][] = []
    for (const one of sorted) {
      const last = runs.at(-1)
      if (last && last[0] + last[1] === one) last[1]++
      else runs.push([one, 1])
      this.release(queue, one)
    }
    this.batch.putVarint(runs.length)
    let at = 0
    for (const [first, length] of runs) {
      this.batch.putVarint(first - at)
      this.batch.putVarint(length)
      at = first + length
    }
    this.batch.end()
    return lsn
  }

  meta(text: string): number {
    const lsn = this.nextLsn++
    this.batch.begin(OperationType.meta, lsn)
    this.batch.putBytes(Buffer.from(text))
    this.batch.end()
    return lsn
  }

  /** An LSN that is never written, as messages of level 'memory' take. */
  skip(count = 1): void {
    this.nextLsn += count
  }

  commit(store: Store): void {
    const batch = this.batch
    this.batch = new OperationBatch()
    store.commit(batch)
  }

  private release(queue: number, lsn: number): void {
    release(this.held, queue, lsn)
  }
}

function release(held: Map<number, Set<number>>, queue: number, lsn: number): void {
  const queues = held.get(lsn)
  if (queues?.delete(queue) && queues.size === 0) held.delete(lsn)
}

function decode(
  type: number,
  bytes: Uint8Array,
  start: number,
  end: number,
  lsn: number,
  held: Map<number, Set<number>>,
  isNew: (message: number) => boolean,
): void {
  const reader = new OperationReader().reset(bytes, start, end)
  if (type === OperationType.publish) {
    const head = new PublishHead()
    if (!readPublish(reader, head)) throw new Error(`publish ${lsn} cannot be read`)
    if (head.queues.length > 0 && isNew(lsn)) held.set(lsn, new Set(head.queues))
    if (head.replacedLsn > 0 && isNew(head.replacedLsn)) release(held, head.replacedQueue, head.replacedLsn)
  } else if (type === OperationType.settle) {
    const queue = reader.varint()
    reader.byte()
    forEachSettled(reader, (one) => {
      if (isNew(one)) release(held, queue, one)
    })
  }
}

/** The payload of the publish operation that a slice holds, as text. Throws when it holds none. */
export function payloadOf(slice: Slice): string {
  const head = new PublishHead()
  const reader = new OperationReader().reset(slice.bytes, slice.start, slice.end)
  if (!readPublish(reader, head)) throw new Error('not a publish operation')
  return Buffer.from(slice.bytes.subarray(head.payloadStart, head.payloadEnd)).toString()
}
