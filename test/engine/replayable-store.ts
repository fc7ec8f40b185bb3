import { strict as assert } from 'node:assert'
import { MemoryStore } from '../../src/engine/memory/store.ts'
import type { EngineOptions } from '../../src/engine/options.ts'
import { OperationBatch } from '../../src/engine/ports/operations.ts'
import type { RecoveryReport, StoreClient } from '../../src/engine/ports/store.ts'
import type { VirtualClock } from '../../src/testing/virtual-clock.ts'
import { Bench } from './support.ts'

interface Operation {
  readonly lsn: number
  readonly type: number
  readonly bytes: Uint8Array
}

interface Checkpoint {
  /** The highest LSN committed when it was begun: replay goes on from there. */
  readonly from: number
  readonly sections: Uint8Array[]
}

interface FinishedCheckpoint extends Checkpoint {
  /** The highest LSN that it may say something of. */
  readonly to: number
}

/** LSNs of messages of level 'memory' were never written; after a start LSNs go on this far above. */
const LSN_JUMP = 100_000

/**
 * A store that outlives its engine and keeps every operation. A test decides when a checkpoint is begun and when each of its
 * sections is taken, so that any work of the engine can fall between any two of them.
 */
export class ReplayableStore extends MemoryStore {
  private engine!: StoreClient
  private readonly operations: Operation[] = []
  private checkpoint: FinishedCheckpoint | undefined
  pagesWritten = 0
  /** In this life: a checkpoint from before may name them as well as not. */
  readonly freed: Set<number> = new Set()
  private under: (Checkpoint & { readonly iterator: Iterator<Uint8Array> }) | undefined
  private last = 0

  constructor(clock: VirtualClock) {
    super(clock)
  }

  /** What a crash would have left that took all but the first `count` operations. */
  prefix(count: number, clock: VirtualClock): ReplayableStore {
    const store = new ReplayableStore(clock)
    const kept = this.operations.slice(0, count)
    const batch = new OperationBatch()
    for (const { lsn, type, bytes } of kept) {
      batch.begin(type, lsn)
      batch.putBytes(bytes)
      batch.end()
    }
    if (kept.length > 0) store.commit(batch)
    const last = kept[kept.length - 1]?.lsn ?? 0
    // A checkpoint says nothing that is not durable before it counts.
    if (this.checkpoint !== undefined && this.checkpoint.to <= last) store.checkpoint = this.checkpoint
    return store
  }

  get types(): readonly number[] {
    return this.operations.map(({ type }) => type)
  }

  override async open(client: StoreClient): Promise<RecoveryReport> {
    this.engine = client
    this.under = undefined
    this.freed.clear()
    const report = await super.open(client)
    for (const section of this.checkpoint?.sections ?? []) client.restore(section)
    const from = this.checkpoint?.from ?? 0
    const replayed = this.operations.filter(({ lsn }) => lsn > from)
    for (const { lsn, type, bytes } of replayed) client.apply(lsn, type, bytes, 0, bytes.length)
    return { ...report, lastLsn: this.last + LSN_JUMP, operationsReplayed: replayed.length }
  }

  override commit(batch: OperationBatch): void {
    for (let i = 0; i < batch.count; i++) {
      const bytes = Uint8Array.from(batch.bytes.subarray(batch.bodyStart(i), batch.bodyEnd(i)))
      this.operations.push({ lsn: batch.lsns[i]!, type: batch.types[i]!, bytes })
    }
    this.last = Math.max(this.last, batch.lsns[batch.count - 1] ?? 0)
    super.commit(batch)
  }

  override writePage(bytes: Uint8Array): number {
    this.pagesWritten++
    return super.writePage(bytes)
  }

  /** A checkpoint may name the page: all are kept. */
  override freePage(page: number): void {
    assert.ok(!this.freed.has(page), `page ${page} is freed twice`)
    this.freed.add(page)
  }

  /** Of the engine's sections of the last checkpoint. */
  get checkpointBytes(): number {
    return (this.checkpoint?.sections ?? []).reduce((sum, { length }) => sum + length, 0)
  }

  /** Takes the next section, of a new checkpoint when none is under way. The last one makes it count. */
  takeSection(): 'more' | 'done' {
    this.under ??= {
      from: this.last,
      sections: [],
      iterator: this.engine.snapshot()[Symbol.iterator](),
    }
    const { value, done } = this.under.iterator.next()
    if (!done) {
      this.under.sections.push(value)
      return 'more'
    }
    this.checkpoint = { ...this.under, to: this.last }
    this.under = undefined
    return 'done'
  }

  takeCheckpoint(): void {
    while (this.takeSection() === 'more');
  }
}

/** A bench whose checkpoints are taken by hand, on a store that is there still when it is opened again. */
export async function replayable(
  options: EngineOptions = {},
): Promise<{ bench: Bench; store: ReplayableStore }> {
  let kept: ReplayableStore | undefined
  const bench = await Bench.on(({ clock }) => {
    kept ??= new ReplayableStore(clock)
    return kept
  }, options)
  return { bench, store: bench.store as ReplayableStore }
}
