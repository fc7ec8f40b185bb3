/** How a journal uses its directory. Sizes in bytes, times in milliseconds. */
export interface JournalOptions {
  /** Nominal size of a segment file; a round of writes may run over it. */
  readonly segmentBytes: number
  /** Most bytes that go out in one write. */
  readonly roundBytes: number
  /** Recent batches and blocks read from disk that are kept in memory. */
  readonly cacheBytes: number
  /** A checkpoint is written after so many bytes have been journalled. */
  readonly checkpointBytes: number
  /** Or so many messages have left: settlements are small, and replaying them is work. */
  readonly checkpointSettlements: number
  /** Size of the file that is given back when the disk is full, and the least free space that publishes may leave. */
  readonly reserveBytes: number
  /** A sealed segment is compacted when less than this share of it is alive. */
  readonly liveShare: number
  /** Survivors that one step of compaction gathers in memory. */
  readonly compactionBytes: number
  /** How often an idle journal looks for something to give back, and a full disk for room. */
  readonly idleInterval: number
  /** Whether segments are compacted at all. */
  readonly compaction: boolean
}

const MiB = 1024 * 1024

export const defaultJournalOptions: JournalOptions = {
  segmentBytes: 64 * MiB,
  roundBytes: 4 * MiB,
  cacheBytes: 128 * MiB,
  checkpointBytes: 256 * MiB,
  checkpointSettlements: 4_000_000,
  reserveBytes: 16 * MiB,
  liveShare: 0.5,
  compactionBytes: 64 * MiB,
  idleInterval: 1_000,
  compaction: true,
}
