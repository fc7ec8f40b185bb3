import { MillraceError } from '../model/errors.ts'
import type { DiskIo } from './disk-io.ts'
import type { DamageReport, Quarantine } from './quarantine.ts'

/** What recovery does to files. An inspection does none of it. */
export interface Repairs {
  damaged(report: DamageReport): Promise<void>
  remove(path: string): Promise<void>
  /** Cuts the file at `end` and makes what lies in [unproven, end) durable, whatever became of it before. */
  secure(path: string, unproven: number, end: number, size: number): Promise<void>
}

const PIECE = 1024 * 1024

/** Repairs the real files. */
export class FileRepairs implements Repairs {
  private readonly io: DiskIo
  private readonly quarantine: Quarantine

  constructor(io: DiskIo, quarantine: Quarantine) {
    this.io = io
    this.quarantine = quarantine
  }

  damaged(report: DamageReport): Promise<void> {
    return this.quarantine.keep(report)
  }

  /** A file that cannot be removed is found again at the next start. */
  async remove(path: string): Promise<void> {
    await this.io.remove(path).catch(() => {})
  }

  /**
   * The bytes are written again, because those of a failed sync may be readable and yet never reach the disk by
   * syncing alone. Throws `journal-failed`.
   */
  async secure(path: string, unproven: number, end: number, size: number): Promise<void> {
    if (unproven >= end && end === size) return
    const { file } = await this.io.open(path, 'write')
    try {
      if (end < size) await this.io.truncate(file, end)
      for (let at = unproven; at < end; at += PIECE) {
        const { bytes, unreadable } = await this.io.readPatiently(file, at, Math.min(PIECE, end - at))
        if (unreadable) throw new Error(`cannot read ${path} at ${at}`)
        await this.io.write(file, [bytes], at)
      }
      await this.io.sync(file)
    } catch (cause) {
      throw new MillraceError(
        'journal-failed',
        `cannot secure the end of ${path}; check the disk, then start again`,
        {
          cause,
        },
      )
    } finally {
      await this.io.close(file)
    }
  }
}

/** Leaves everything as it is and remembers what would be done. */
export class NoRepairs implements Repairs {
  readonly damage: DamageReport[] = []
  readonly removable: string[] = []

  async damaged(report: DamageReport): Promise<void> {
    this.damage.push(report)
  }

  async remove(path: string): Promise<void> {
    this.removable.push(path)
  }

  async secure(): Promise<void> {}
}
