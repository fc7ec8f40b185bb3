import * as fs from 'node:fs'
import * as path from 'node:path'
import type { Disk, DiskEntry, DiskError, DiskFile, DiskMode } from './disk.ts'

/** A folder of the file system as the Disk port. */
export class NodeDisk implements Disk {
  private readonly root: string

  /** `root`: the data directory. It is made when the first file is. */
  constructor(root: string) {
    this.root = root
  }

  list(folder: string, done: (error: DiskError | null, entries: readonly DiskEntry[]) => void): void {
    const at = this.resolve(folder)
    listFiles(at).then(
      (entries) => done(null, entries),
      (error: DiskError) => (error.code === 'ENOENT' ? done(null, []) : done(error, [])),
    )
  }

  open(
    name: string,
    mode: DiskMode,
    done: (error: DiskError | null, file: DiskFile | null, size: number) => void,
  ): void {
    const at = this.resolve(name)
    openFile(at, mode).then(
      ({ descriptor, size }) => done(null, new NodeFile(name, descriptor), size),
      (error: DiskError) => done(error, null, 0),
    )
  }

  write(
    file: DiskFile,
    buffers: readonly Uint8Array[],
    position: number,
    done: (error: DiskError | null) => void,
  ): void {
    writeAll(descriptorOf(file), buffers, position, done)
  }

  sync(file: DiskFile, done: (error: DiskError | null) => void): void {
    fs.fdatasync(descriptorOf(file), (error) => done(error))
  }

  read(
    file: DiskFile,
    into: Uint8Array,
    position: number,
    done: (error: DiskError | null, count: number) => void,
  ): void {
    readAll(descriptorOf(file), into, position, 0, done)
  }

  truncate(file: DiskFile, size: number, done: (error: DiskError | null) => void): void {
    fs.ftruncate(descriptorOf(file), size, (error) => done(error))
  }

  rename(from: string, to: string, done: (error: DiskError | null) => void): void {
    const target = this.resolve(to)
    fs.rename(this.resolve(from), target, (error) => {
      if (error) done(error)
      else syncFolder(path.dirname(target), done)
    })
  }

  remove(name: string, done: (error: DiskError | null) => void): void {
    const at = this.resolve(name)
    fs.unlink(at, (error) => {
      if (error) done(error.code === 'ENOENT' ? null : error)
      else syncFolder(path.dirname(at), done)
    })
  }

  close(file: DiskFile, done: (error: DiskError | null) => void): void {
    fs.close(descriptorOf(file), (error) => done(error ?? null))
  }

  free(done: (error: DiskError | null, bytes: number) => void): void {
    fs.statfs(this.root, (error, stats) => {
      if (error) done(error, 0)
      else done(null, stats.bavail * stats.bsize)
    })
  }

  private resolve(name: string): string {
    return path.join(this.root, ...name.split('/'))
  }
}

class NodeFile implements DiskFile {
  readonly path: string
  readonly descriptor: number

  constructor(name: string, descriptor: number) {
    this.path = name
    this.descriptor = descriptor
  }
}

function descriptorOf(file: DiskFile): number {
  return (file as NodeFile).descriptor
}

async function listFiles(folder: string): Promise<DiskEntry[]> {
  const entries: DiskEntry[] = []
  for (const entry of await fs.promises.readdir(folder, { withFileTypes: true })) {
    if (!entry.isFile()) continue
    const { size } = await fs.promises.stat(path.join(folder, entry.name))
    entries.push({ name: entry.name, size })
  }
  return entries
}

async function openFile(at: string, mode: DiskMode): Promise<{ descriptor: number; size: number }> {
  if (mode === 'create') await makeFolder(path.dirname(at))
  const flags = { read: 'r', write: 'r+', create: 'w+' }[mode]
  const descriptor = await new Promise<number>((resolve, reject) => {
    fs.open(at, flags, 0o600, (error, opened) => (error ? reject(error) : resolve(opened)))
  })
  if (mode === 'create') {
    await new Promise<void>((resolve, reject) => {
      syncFolder(path.dirname(at), (error) => (error ? reject(error) : resolve()))
    })
    return { descriptor, size: 0 }
  }
  return new Promise((resolve, reject) => {
    fs.fstat(descriptor, (error, { size } = {} as fs.Stats) => {
      if (error) reject(error)
      else resolve({ descriptor, size })
    })
  })
}

/** A new folder's name is durable when the folder above it has been synced. */
async function makeFolder(folder: string): Promise<void> {
  const first = await fs.promises.mkdir(folder, { recursive: true, mode: 0o700 })
  if (first === undefined) return
  for (let at = folder; at.length >= first.length; at = path.dirname(at)) {
    await new Promise<void>((resolve, reject) => {
      syncFolder(path.dirname(at), (error) => (error ? reject(error) : resolve()))
    })
  }
}

function syncFolder(folder: string, done: (error: DiskError | null) => void): void {
  fs.open(folder, 'r', (openError, descriptor) => {
    if (openError) {
      done(openError)
      return
    }
    fs.fsync(descriptor, (error) => {
      fs.close(descriptor, () => done(error))
    })
  })
}

/** Goes on after partial writes, which the system call may make whenever it likes. */
function writeAll(
  descriptor: number,
  buffers: readonly Uint8Array[],
  position: number,
  done: (error: DiskError | null) => void,
): void {
  fs.writev(descriptor, buffers, position, (error, written) => {
    if (error) {
      done(error)
      return
    }
    const rest = dropBytes(buffers, written)
    if (rest.length === 0) done(null)
    else writeAll(descriptor, rest, position + written, done)
  })
}

/** What is left of `buffers` without their first `count` bytes. */
export function dropBytes(buffers: readonly Uint8Array[], count: number): readonly Uint8Array[] {
  let index = 0
  let left = count
  while (index < buffers.length && left >= buffers[index]!.length) left -= buffers[index++]!.length
  if (index === buffers.length) return []
  return [buffers[index]!.subarray(left), ...buffers.slice(index + 1)]
}

function readAll(
  descriptor: number,
  into: Uint8Array,
  position: number,
  have: number,
  done: (error: DiskError | null, count: number) => void,
): void {
  fs.read(descriptor, into, have, into.length - have, position + have, (error, count) => {
    if (error) done(error, 0)
    else if (count === 0 || have + count === into.length) done(null, have + count)
    else readAll(descriptor, into, position, have + count, done)
  })
}
