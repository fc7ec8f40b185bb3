import type { Disk, DiskEntry, DiskError, DiskFile, DiskMode } from '../src/storage/disk.ts'

/** Counts what a disk is asked to do. */
export class WatchedDisk implements Disk {
  reads = 0
  bytesRead = 0
  bytesWritten = 0
  syncs = 0
  private readonly disk: Disk

  constructor(disk: Disk) {
    this.disk = disk
  }

  list(folder: string, done: (error: DiskError | null, entries: readonly DiskEntry[]) => void): void {
    this.disk.list(folder, done)
  }

  open(
    path: string,
    mode: DiskMode,
    done: (error: DiskError | null, file: DiskFile | null, size: number) => void,
  ): void {
    this.disk.open(path, mode, done)
  }

  write(
    file: DiskFile,
    buffers: readonly Uint8Array[],
    position: number,
    done: (error: DiskError | null) => void,
  ): void {
    for (const { length } of buffers) this.bytesWritten += length
    this.disk.write(file, buffers, position, done)
  }

  sync(file: DiskFile, done: (error: DiskError | null) => void): void {
    this.syncs++
    this.disk.sync(file, done)
  }

  read(
    file: DiskFile,
    into: Uint8Array,
    position: number,
    done: (error: DiskError | null, count: number) => void,
  ): void {
    this.reads++
    this.bytesRead += into.length
    this.disk.read(file, into, position, done)
  }

  truncate(file: DiskFile, size: number, done: (error: DiskError | null) => void): void {
    this.disk.truncate(file, size, done)
  }

  rename(from: string, to: string, done: (error: DiskError | null) => void): void {
    this.disk.rename(from, to, done)
  }

  remove(path: string, done: (error: DiskError | null) => void): void {
    this.disk.remove(path, done)
  }

  close(file: DiskFile, done: (error: DiskError | null) => void): void {
    this.disk.close(file, done)
  }

  free(done: (error: DiskError | null, bytes: number) => void): void {
    this.disk.free(done)
  }
}
