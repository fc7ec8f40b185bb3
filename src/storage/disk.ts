/** A file that a disk opened. Only the disk that opened it looks inside. */
export interface DiskFile {
  readonly path: string
}

/** Why an operation of a disk did not happen. `code` as in errno: 'ENOSPC', 'EIO', 'ENOENT', … */
export interface DiskError extends Error {
  code?: string | undefined
}

/** 'read' and 'write' need the file to exist; 'create' makes an empty one, emptying what is there. */
export type DiskMode = 'read' | 'write' | 'create'

export interface DiskEntry {
  readonly name: string
  /** Bytes. */
  readonly size: number
}

/**
 * Where the journal's bytes lie: the files of one data directory, named by paths relative to it with '/' between.
 *
 * - Every call answers through `done`, once, in a later turn, never before it returns; a simulator may answer when it likes.
 * - Content is durable when a `sync` that began after the write's answer has answered without error. After a failed sync
 *   nothing is known about the content written since the last good one, whatever later syncs answer.
 * - Names are durable when `open` with 'create', `rename` or `remove` has answered.
 * - `write` writes everything or answers an error; after an error any part of the range may have been written.
 *   The buffers belong to the disk until the answer and are not changed by it.
 * - Operations under way at once on overlapping ranges of a file have no order.
 */
export interface Disk {
  /** Files (not folders) in `folder` with their sizes, in no order. A folder that does not exist is empty. */
  list(folder: string, done: (error: DiskError | null, entries: readonly DiskEntry[]) => void): void
  /** Opens a file; with 'create' the folders above it are made too. `size` in bytes. */
  open(
    path: string,
    mode: DiskMode,
    done: (error: DiskError | null, file: DiskFile | null, size: number) => void,
  ): void
  write(
    file: DiskFile,
    buffers: readonly Uint8Array[],
    position: number,
    done: (error: DiskError | null) => void,
  ): void
  /** Makes written content durable (fdatasync). */
  sync(file: DiskFile, done: (error: DiskError | null) => void): void
  /** Fills `into` from `position`; `count` is less than its length only at the end of the file. */
  read(
    file: DiskFile,
    into: Uint8Array,
    position: number,
    done: (error: DiskError | null, count: number) => void,
  ): void
  /** Cuts the file to `size` bytes; durable after a sync. */
  truncate(file: DiskFile, size: number, done: (error: DiskError | null) => void): void
  /** Gives a file another name, replacing what had it. */
  rename(from: string, to: string, done: (error: DiskError | null) => void): void
  /** Removes a name; open files of it stay readable. A name that does not exist is not an error. */
  remove(path: string, done: (error: DiskError | null) => void): void
  close(file: DiskFile, done: (error: DiskError | null) => void): void
  /** Bytes that can still be written to the file system. */
  free(done: (error: DiskError | null, bytes: number) => void): void
}

/** True for what a disk or the journal answers; anything else that is thrown is a bug of ours. */
export function isOperating(error: unknown): boolean {
  return error instanceof Error && typeof (error as DiskError).code === 'string'
}
