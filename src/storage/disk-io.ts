import type { Disk, DiskEntry, DiskError, DiskFile, DiskMode } from './disk.ts'

const ATTEMPTS = 4
/** A disk that fails to read is asked for ever smaller pieces, down to this. */
const LEAST_PIECE = 4096
/** Of a file that is removed: what a file system gives back in a millisecond, whether or not it tells the disk. */
const REMOVED_PIECE = 2 * 1024 * 1024

/** The calls of a disk as promises, for work that is not hot: recovery, checkpoints, compaction, inspection. */
export class DiskIo {
  readonly disk: Disk

  constructor(disk: Disk) {
    this.disk = disk
  }

  list(folder: string): Promise<readonly DiskEntry[]> {
    return new Promise((resolve, reject) => {
      this.disk.list(folder, (error, entries) => (error ? reject(error) : resolve(entries)))
    })
  }

  open(path: string, mode: DiskMode): Promise<{ file: DiskFile; size: number }> {
    return new Promise((resolve, reject) => {
      this.disk.open(path, mode, (error, file, size) =>
        error ? reject(error) : resolve({ file: file!, size }),
      )
    })
  }

  write(file: DiskFile, buffers: readonly Uint8Array[], position: number): Promise<void> {
    return this.simple((done) => this.disk.write(file, buffers, position, done))
  }

  sync(file: DiskFile): Promise<void> {
    return this.simple((done) => this.disk.sync(file, done))
  }

  truncate(file: DiskFile, size: number): Promise<void> {
    return this.simple((done) => this.disk.truncate(file, size, done))
  }

  rename(from: string, to: string): Promise<void> {
    return this.simple((done) => this.disk.rename(from, to, done))
  }

  remove(path: string): Promise<void> {
    return this.simple((done) => this.disk.remove(path, done))
  }

  /**
   * Takes away the name of a file, then its content from the end on: freed in one go, a file of 64 MiB keeps the journal's syncs
   * waiting for 20 ms where the file system discards what it frees. Without a name it is gone whenever that is cut short.
   */
  async removeInPieces(path: string): Promise<void> {
    const opened = await this.open(path, 'write').catch(() => undefined)
    if (!opened) return this.remove(path)
    const { file, size } = opened
    try {
      await this.remove(path)
      for (let left = size - REMOVED_PIECE; left > 0; left -= REMOVED_PIECE) await this.truncate(file, left)
    } finally {
      await this.close(file)
    }
  }

  close(file: DiskFile): Promise<void> {
    return this.simple((done) => this.disk.close(file, done))
  }

  free(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.disk.free((error, bytes) => (error ? reject(error) : resolve(bytes)))
    })
  }

  /** Up to `length` bytes at `position`, in `into` when given; fewer only at the end of the file. */
  read(
    file: DiskFile,
    position: number,
    length: number,
    into: Buffer = Buffer.allocUnsafeSlow(length),
  ): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.disk.read(file, into, position, (error, count) => {
        if (error) reject(error)
        else resolve(count === length ? into : into.subarray(0, count))
      })
    })
  }

  /** Like `read`, but bytes that the disk will not give, asked several times, are zeros, and `unreadable` says so. */
  async readPatiently(
    file: DiskFile,
    position: number,
    length: number,
    into?: Buffer,
  ): Promise<{ bytes: Buffer; unreadable: boolean }> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      try {
        return { bytes: await this.read(file, position, length, into), unreadable: false }
      } catch {
        // Asked again, then in smaller pieces.
      }
    }
    if (length <= LEAST_PIECE) return { bytes: Buffer.alloc(length), unreadable: true }
    const half = Math.ceil(length / 2 / LEAST_PIECE) * LEAST_PIECE
    const first = await this.readPatiently(file, position, half)
    const second = await this.readPatiently(file, position + half, length - half)
    return {
      bytes: Buffer.concat([first.bytes, second.bytes]),
      unreadable: first.unreadable || second.unreadable,
    }
  }

  private simple(start: (done: (error: DiskError | null) => void) => void): Promise<void> {
    return new Promise((resolve, reject) => start((error) => (error ? reject(error) : resolve())))
  }
}
