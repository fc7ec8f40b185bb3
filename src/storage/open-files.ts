import type { Disk, DiskError, DiskFile } from './disk.ts'

/** Files kept open for reading. */
const LIMIT = 128

interface Entry {
  readonly path: string
  file: DiskFile | undefined
  error: DiskError | undefined
  waiting: ((error: DiskError | undefined) => void)[]
  users: number
  /** Closed as soon as nobody reads. */
  doomed: boolean
}

/** Files opened for reading and kept open for a while; the longest unused is closed first. */
export class OpenFiles {
  private readonly disk: Disk
  /** In order of last use. */
  private readonly entries = new Map<string, Entry>()

  constructor(disk: Disk) {
    this.disk = disk
  }

  /** Reads into the whole of `into`; `count` is less at the end of the file. */
  read(
    path: string,
    into: Uint8Array,
    position: number,
    done: (error: DiskError | null, count: number) => void,
  ): void {
    const entry = this.entry(path)
    entry.users++
    const finish = (error: DiskError | null, count: number) => {
      entry.users--
      if (entry.doomed) this.closeUnused(entry)
      done(error, count)
    }
    const start = (error: DiskError | undefined) => {
      if (error) finish(error, 0)
      else this.disk.read(entry.file!, into, position, finish)
    }
    if (entry.file) start(undefined)
    else entry.waiting.push(start)
  }

  /** The file is not wanted any more: it is closed when the reads under way have ended. */
  forget(path: string): void {
    const entry = this.entries.get(path)
    if (!entry) return
    this.entries.delete(path)
    entry.doomed = true
    this.closeUnused(entry)
  }

  closeAll(): void {
    for (const path of [...this.entries.keys()]) this.forget(path)
  }

  private entry(path: string): Entry {
    const known = this.entries.get(path)
    if (known) {
      this.entries.delete(path)
      this.entries.set(path, known)
      return known
    }
    const entry: Entry = { path, file: undefined, error: undefined, waiting: [], users: 0, doomed: false }
    this.entries.set(path, entry)
    if (this.entries.size > LIMIT) this.forget(this.entries.keys().next().value!)
    this.disk.open(path, 'read', (error, file) => {
      if (error) this.entries.delete(path)
      entry.file = file ?? undefined
      const waiting = entry.waiting
      entry.waiting = []
      for (const start of waiting) start(error ?? undefined)
    })
    return entry
  }

  private closeUnused(entry: Entry): void {
    if (entry.users > 0 || !entry.file) return
    const file = entry.file
    entry.file = undefined
    this.disk.close(file, () => {})
  }
}
