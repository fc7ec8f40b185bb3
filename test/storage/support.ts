import type { Clock } from '../../src/engine/ports/clock.ts'
import { type RecoveryReport, Slice } from '../../src/engine/ports/store.ts'
import type { Disk, DiskError } from '../../src/storage/disk.ts'
import { Journal } from '../../src/storage/journal.ts'
import type { JournalOptions } from '../../src/storage/options.ts'
import { BookKeeper, payloadOf } from '../../src/testing/contracts/book-keeper.ts'
import { type DiskFaults, FaultyDisk } from '../../src/testing/faulty-disk.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'

/** The seed of this run, printed by tests that use it; SEED=… replays one. */
export const seed: number = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))

/** A journal on a simulated disk under a virtual clock, and the ways in which it can end. */
export class Bench {
  readonly clock: VirtualClock = new VirtualClock()
  readonly random: SeededRandom
  readonly disk: FaultyDisk
  readonly options: Partial<JournalOptions>
  keeper: BookKeeper = new BookKeeper()
  journal!: Journal
  report!: RecoveryReport

  constructor(options: Partial<JournalOptions> = {}, faults: Partial<DiskFaults> = {}, from: number = seed) {
    this.random = new SeededRandom(from)
    this.disk = new FaultyDisk(this.clock, this.random, faults)
    this.options = { ...smallJournal, ...options }
  }

  /** Opens a new journal on the disk, with a new engine whose checkpoint names these pages. */
  async open(named: Iterable<number> = []): Promise<BookKeeper> {
    this.keeper = new BookKeeper()
    for (const page of named) this.keeper.named.add(page)
    this.journal = new Journal({ disk: this.disk.mount(), clock: this.clock, options: this.options })
    this.report = await this.wait(this.journal.open(this.keeper))
    this.keeper.nextLsn = this.report.lastLsn + 1
    return this.keeper
  }

  /** Lets time pass until the promise is settled. */
  wait<T>(promise: Promise<T>): Promise<T> {
    return passUntil(this.clock, promise)
  }

  /** Commits what the engine has gathered and waits until it is durable. */
  async commit(): Promise<void> {
    this.keeper.commit(this.journal)
    const lsn = this.keeper.nextLsn - 1
    for (let i = 0; i < 10_000 && this.keeper.durableLsn < lsn && !this.keeper.failure; i++) {
      await this.clock.advance(1)
    }
  }

  /** The power goes; the journal is opened again. */
  async crash(named: Iterable<number> = []): Promise<BookKeeper> {
    this.disk.crash()
    this.clock.clear()
    return this.open(named)
  }

  /** The process is killed; the journal is opened again. */
  async kill(): Promise<BookKeeper> {
    this.disk.kill()
    this.clock.clear()
    return this.open()
  }

  async close(): Promise<void> {
    await this.wait(this.journal.close())
  }

  /** The payload of a message as the store gives it; undefined when it is damaged or gone. */
  async payload(queue: number, lsn: number): Promise<string | undefined> {
    const [found] = await this.payloads(queue, [lsn])
    return found
  }

  async payloads(queue: number, lsns: readonly number[]): Promise<(string | undefined)[]> {
    const slice = new Slice()
    const found = () =>
      lsns.map((lsn) => (this.journal.read(queue, lsn, slice) ? payloadOf(slice) : undefined))
    return this.wait(
      new Promise((resolve) => {
        this.journal.load(queue, lsns, () => resolve(found()))
      }),
    )
  }

  async chunk(lsn: number): Promise<string | undefined> {
    const slice = new Slice()
    return this.wait(
      new Promise((resolve) => {
        this.journal.load(0, [lsn], () => {
          resolve(
            this.journal.chunk(lsn, slice)
              ? Buffer.from(slice.bytes.subarray(slice.start, slice.end)).toString()
              : undefined,
          )
        })
      }),
    )
  }
}

/** Sizes at which every mechanism is at work after a few messages. */
export const smallJournal: Partial<JournalOptions> = {
  segmentBytes: 8 * 1024,
  roundBytes: 4 * 1024,
  cacheBytes: 8 * 1024,
  checkpointBytes: 64 * 1024,
  reserveBytes: 4 * 1024,
  compactionBytes: 64 * 1024,
}

/** Lets virtual time pass until the promise is settled. */
export async function passUntil<T>(clock: VirtualClock, promise: Promise<T>): Promise<T> {
  let isSettled = false
  const watch = promise.finally(() => {
    isSettled = true
  })
  watch.catch(() => {})
  await clock.idle()
  for (let i = 0; i < 100_000 && !isSettled; i++) await clock.advance(1)
  return watch
}

export const realClock: Clock = {
  monotonic: () => performance.now(),
  wall: () => Date.now(),
  after: (delay, callback) => {
    const timer = setTimeout(callback, delay)
    return () => clearTimeout(timer)
  },
  defer: (callback) => process.nextTick(callback),
}

const broken: DiskError = Object.assign(new Error('the device is gone'), { code: 'EIO' })

/** A disk whose page file fails, after a while. */
export function withoutPages(disk: Disk, clock: Clock, what: 'open' | 'write'): Disk {
  return {
    list: disk.list.bind(disk),
    open: (path, mode, done) => {
      if (path === 'pages' && what === 'open') clock.after(5, () => done(broken, null, 0))
      else disk.open(path, mode, done)
    },
    write: (file, buffers, position, done) => {
      if (file.path === 'pages') clock.after(5, () => done(broken))
      else disk.write(file, buffers, position, done)
    },
    sync: disk.sync.bind(disk),
    read: disk.read.bind(disk),
    truncate: disk.truncate.bind(disk),
    rename: disk.rename.bind(disk),
    remove: disk.remove.bind(disk),
    close: disk.close.bind(disk),
    free: disk.free.bind(disk),
  }
}
