import type { Clock } from '../engine/ports/clock.ts'
import type { Disk } from './disk.ts'
import { DiskIo } from './disk-io.ts'
import { RESERVE_FILE } from './format.ts'
import type { JournalOptions } from './options.ts'

/** How often a write is tried again once the reserve is gone too. */
const RETRIES = 30
const PIECE = 1024 * 1024

/**
 * Room on the disk. A reserve of real bytes is kept beside the journal; when a write finds the disk full the reserve is
 * given back and publishes stop, so that settlements, checkpoints and compaction go on until there is room again.
 */
export class Space {
  available = true
  private readonly io: DiskIo
  private readonly clock: Clock
  private readonly options: JournalOptions
  private readonly changed: (available: boolean) => void
  private reserved = false
  /** One thing at a time happens to the reserve. */
  private work: Promise<void> = Promise.resolve()
  private polling = false
  private retries = 0
  private closed = false

  constructor(
    context: { disk: Disk; clock: Clock; options: JournalOptions },
    changed: (available: boolean) => void,
  ) {
    this.io = new DiskIo(context.disk)
    this.clock = context.clock
    this.options = context.options
    this.changed = changed
  }

  get reservedBytes(): number {
    return this.reserved ? this.options.reserveBytes : 0
  }

  /** `reserved`: the reserve is there from before. Without room for it, publishes are refused from the start. */
  async open(reserved: boolean): Promise<void> {
    this.reserved = reserved
    const free = await this.io.free().catch(() => Number.POSITIVE_INFINITY)
    if (free < this.options.reserveBytes) this.turn(false)
    this.check()
  }

  /** A write found the disk full: `retry(true)` when there may be room, `retry(false)` when hope is given up. */
  full(retry: (again: boolean) => void): void {
    this.turn(false)
    if (this.reserved) {
      this.reserved = false
      this.retries = 0
      void this.enqueue(async () => {
        await this.io.remove(RESERVE_FILE).catch(() => {})
        retry(true)
      })
    } else if (this.retries++ < RETRIES) {
      this.clock.after(this.options.idleInterval, () => retry(true))
    } else {
      retry(false)
    }
  }

  /** Looks how much room there is; call it when some was used or given back. */
  check(): void {
    if (!this.closed) void this.enqueue(() => this.look())
  }

  close(): Promise<void> {
    this.closed = true
    return this.work
  }

  private enqueue(task: () => Promise<void>): Promise<void> {
    this.work = this.work.then(task)
    return this.work
  }

  private async look(): Promise<void> {
    const { reserveBytes } = this.options
    const free = await this.io.free().catch(() => Number.POSITIVE_INFINITY)
    if (this.reserved) {
      // Publishes come back a little above where they stopped, so that they do not flutter.
      if (free < reserveBytes) this.turn(false)
      else if (free >= reserveBytes * 1.25) this.turn(true)
      return
    }
    if (free < reserveBytes * 2.25) this.turn(false)
    else if (await this.fill()) {
      this.reserved = true
      this.retries = 0
      this.turn(true)
    }
  }

  private turn(available: boolean): void {
    if (!available) this.poll()
    if (this.available === available || this.closed) return
    this.available = available
    this.changed(available)
  }

  private poll(): void {
    if (this.polling || this.closed) return
    this.polling = true
    this.clock.after(this.options.idleInterval, () => {
      this.polling = false
      if (this.available) return
      this.check()
      this.poll()
    })
  }

  private async fill(): Promise<boolean> {
    try {
      const { file } = await this.io.open(RESERVE_FILE, 'create')
      // Not zeros: a file system may keep those without taking room for them.
      const piece = Buffer.alloc(PIECE, 0x5a)
      for (let at = 0; at < this.options.reserveBytes; at += PIECE) {
        const rest = Math.min(PIECE, this.options.reserveBytes - at)
        await this.io.write(file, [piece.subarray(0, rest)], at)
      }
      await this.io.sync(file)
      await this.io.close(file)
      return true
    } catch {
      await this.io.remove(RESERVE_FILE).catch(() => {})
      return false
    }
  }
}
