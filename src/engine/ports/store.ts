import type { MillraceError } from '../../model/errors.ts'
import type { OperationBatch } from './operations.ts'

/**
 * Where an engine keeps its operations and messages.
 *
 * The engine is one writer. It commits ordered batches of operations (see operations.ts) stamped with rising LSNs, not
 * necessarily dense: messages of level 'memory' take an LSN and never reach the store. The store keeps a message as long
 * as a queue holds it: it counts the queues in each publish operation, and counts down with settle operations and with
 * the `replaces` field of publish operations.
 *
 * - Ordering: batches become written, then durable, in the order of `commit`; `client.written` and `client.durable` rise
 *   and never run ahead of the disk. Both are called from a later turn than the commit they report.
 * - Ownership: `commit` takes the batch. Slices handed out by `read` and `chunk` stay valid as long as they are
 *   referenced (their memory is never reused) and must not be written to.
 * - Errors: after `client.failed` nothing more becomes durable; commits are swallowed; reads go on.
 *   A full disk is not a failure: `client.space(false)` is called, and the engine then refuses publishes while
 *   settlements, checkpoints and compaction go on from the reserve.
 * - A damaged message is reported, kept in quarantine, and never returned as a shorter or different one.
 *
 * `test/contracts`-style suites for implementors are exported from millrace/testing.
 */
export interface Store {
  /** Recovers: restore sections, then operations after them, then resolves. Nothing else may be called before. */
  open(client: StoreClient): Promise<RecoveryReport>
  /** Appends. Never blocks and never throws for operating errors. */
  commit(batch: OperationBatch): void
  /**
   * The publish operation `lsn`, held by `queue`, when it is in memory: fills `into` and answers true.
   * Otherwise false: call `load`.
   */
  read(queue: number, lsn: number, into: Slice): boolean
  /** The bytes of a chunk operation, with the same rules. */
  chunk(lsn: number, into: Slice): boolean
  /**
   * Brings messages of one queue (or chunks, with queue 0) into memory, reading ahead as it sees fit. `done` is called in
   * a later turn; until it returns, `read` and `chunk` succeed for the first `certain` of `lsns` (all when absent) that are
   * not listed in `damaged`; what is committed before the end of the turn is not damaged. Those behind come along if they lie near, the first ones first: who goes through a queue from
   * its head need not know how far apart its messages are.
   */
  load(
    queue: number,
    lsns: readonly number[],
    done: (damaged: readonly number[]) => void,
    certain?: number,
  ): void
  /**
   * Visits, in LSN order, the messages in [first, last] that `queue` may still hold, reading whatever it takes; for
   * rebuilding a damaged page. A message held by several queues may be visited though this one has let it go.
   */
  scan(
    queue: number,
    first: number,
    last: number,
    visit: (lsn: number, message: Slice) => void,
    done: () => void,
  ): void
  /** Page file of the queue indexes: keeps `bytes` until freed and survives restart if a snapshot names the page. */
  writePage(bytes: Uint8Array): number
  /** `done(null)` for a damaged page: the engine rebuilds it with `scan`. A page just written may be answered from memory. */
  loadPage(page: number, done: (bytes: Uint8Array | null) => void): void
  /** The page may be reused once no durable checkpoint names it. */
  freePage(page: number): void
  status(): StoreStatus
  /** Commits are flushed, a checkpoint is written, files are closed. Idempotent. */
  close(): Promise<void>
}

/** Operation bytes inside a larger buffer: the body of an operation, header excluded. */
export class Slice {
  bytes: Uint8Array = new Uint8Array(0)
  start = 0
  end = 0
}

/** What the store asks of, and tells to, its engine. */
export interface StoreClient {
  /** One section of a checkpoint, in the order `snapshot` yielded them. */
  restore(section: Uint8Array): void
  /** One operation that the checkpoint may not cover, in LSN order. Idempotence is by each section's own LSN. */
  apply(lsn: number, type: number, bytes: Uint8Array, start: number, end: number): void
  /**
   * The pages that what was restored and applied names, asked for once, before `open` resolves. All others are free: they were
   * written, or freed, while the checkpoint was.
   */
  pages(): Iterable<number>
  /**
   * The engine's state for a checkpoint, a section at a time. The store pulls sections over several turns while commits go
   * on (the iteration itself may commit), so each section says up to which LSN it is; the store replays from the LSN at which the iteration began.
   */
  snapshot(): Iterable<Uint8Array>
  /** Messages in [first, last] are gone: their bytes were damaged and are in quarantine. Called during open only. */
  lost(first: number, last: number): void
  written(lsn: number): void
  durable(lsn: number): void
  /** Whether there is room for publishes. */
  space(available: boolean): void
  /** Sticky. Confirm nothing more. */
  failed(error: MillraceError): void
}

export interface RecoveryReport {
  /** The highest LSN seen; the engine goes on after it. */
  readonly lastLsn: number
  readonly epoch: number
  readonly operationsReplayed: number
  /** Bytes cut from the end of the journal: written but never confirmed. */
  readonly tornBytes: number
  readonly quarantined: readonly QuarantineEntry[]
}

export interface QuarantineEntry {
  readonly file: string
  readonly offset: number
  readonly length: number
  /** LSNs that lay, or may have lain, in the damaged range; undefined when nothing is known. */
  readonly firstLsn?: number | undefined
  readonly lastLsn?: number | undefined
  readonly reason: string
  /** Where the bytes are kept. */
  readonly keptAs: string
}

/** What a store has done to its files since it was opened: numbers, and bytes. */
export interface UpkeepStatus {
  readonly checkpoints: number
  readonly checkpointBytes: number
  readonly compactions: number
  readonly compactionBytesRead: number
  readonly compactionBytesWritten: number
  /** Bytes of files that wait to be rewritten. */
  readonly compactionBytesPending: number
}

export interface StoreStatus {
  readonly durableLsn: number
  /** Bytes committed and not yet durable; the engine holds publishes above its bound. */
  readonly unsyncedBytes: number
  readonly diskBytes: number
  readonly liveBytes: number
  readonly segments: number
  readonly quarantined: number
  readonly spaceAvailable: boolean
  /** Undefined for stores without files. */
  readonly upkeep?: UpkeepStatus | undefined
  /** What is durable is there after a restart. */
  readonly lasting: boolean
}
