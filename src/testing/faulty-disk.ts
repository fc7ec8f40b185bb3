import type { Clock } from '../engine/ports/clock.ts'
import type { Random } from '../engine/ports/random.ts'
import type { Disk, DiskEntry, DiskError, DiskFile, DiskMode } from '../storage/disk.ts'
import { SimulatedFile } from './simulated-file.ts'

/**
 * A disk in memory that does to its owner what disks do, as seldom or as often as it is told.
 *
 * Fault rules:
 * - Nothing happens before the clock is stepped: each operation takes effect and answers at one moment, `delay` after
 *   the call. Operations of one file take effect in order of call only if their delays say so; a sync covers the
 *   writes that took effect before it was called.
 * - `crash` is a power cut. Each 512-byte sector written and not synced keeps its new content, or its old one, or,
 *   with the `torn` rule, a part of each. A write under way is cut short at any byte, and its sectors fall under the
 *   same rule. Names created, renamed or removed without an answer yet are either way. Synced sectors are never touched.
 * - `kill` ends the process and leaves the page cache: writes that took effect stay, one under way is cut short.
 * - A failed sync leaves the sectors it was to cover readable and doomed: they may vanish at the next crash however
 *   often they are synced, until they are written again. That is what Linux does.
 * - A failed write (EIO, or ENOSPC at `capacity`) has written a prefix of its bytes; counted as `shortWrite` when the
 *   prefix is not empty. Faults strike files whose path passes `only`, when given.
 * - `flip` inverts one bit of synced content. It happens only when called.
 * - Space: content counts by its length, and a name costs nothing.
 *
 * The disk is used through mounts. After a crash or kill the old mount is dead: what its owner does goes nowhere and is
 * never answered. Mount the disk again, at once.
 */
export class FaultyDisk {
  readonly faults: DiskFaults
  readonly injected: Record<DiskFault, number> = {
    lostSector: 0,
    tornSector: 0,
    shortWrite: 0,
    writeError: 0,
    syncError: 0,
    readError: 0,
    noSpace: 0,
    flippedBit: 0,
    crash: 0,
    kill: 0,
  }
  /** Calls of each operation that took effect, for tests that count. */
  readonly calls: Record<'write' | 'sync' | 'read', number> = { write: 0, sync: 0, read: 0 }
  /** Called when an operation is about to take effect. A test may crash the disk here. */
  observer: ((operation: DiskOperation, path: string) => void) | undefined
  /** Shares of the mounts; not for tests. */
  readonly files: Map<string, SimulatedFile> = new Map()
  readonly random: Random
  private readonly clock: Clock
  private underWay = new Set<Pending>()
  private mounted: Mount | undefined

  constructor(clock: Clock, random: Random, faults: Partial<DiskFaults> = {}) {
    this.clock = clock
    this.random = random
    this.faults = { ...noFaults, ...faults }
  }

  /** The disk for a new owner; what the one before it does goes nowhere from now on. */
  mount(): Disk {
    this.interrupt()
    this.mounted = new Mount(this)
    return this.mounted
  }

  /** Bytes in all files. */
  used(): number {
    let bytes = 0
    for (const file of this.files.values()) bytes += file.size
    return bytes
  }

  /** Power cut: see the fault rules. */
  crash(): void {
    this.injected.crash++
    this.interrupt()
    for (const file of this.files.values()) {
      const { lost, torn } = file.losePower(this.random, this.faults.torn)
      this.injected.lostSector += lost
      this.injected.tornSector += torn
    }
  }

  /** The process ends, the machine goes on: see the fault rules. */
  kill(): void {
    this.injected.kill++
    this.interrupt()
  }

  /** Inverts a random bit of synced content in a random file that passes `only`; false when there is none. */
  flip(only: (path: string) => boolean = () => true): { path: string; position: number } | undefined {
    const paths = [...this.files.keys()].filter((path) => only(path) && this.files.get(path)!.size > 0).sort()
    const path = paths[Math.floor(this.random.next() * paths.length)]
    if (path === undefined) return undefined
    const file = this.files.get(path)!
    const position = Math.floor(this.random.next() * file.size)
    if (!file.flip(position, Math.floor(this.random.next() * 8))) return undefined
    this.injected.flippedBit++
    return { path, position }
  }

  /** Names of all files, sorted. */
  paths(): string[] {
    return [...this.files.keys()].sort()
  }

  /** A copy of a file's present content. */
  content(path: string): Buffer {
    return this.fileNamed(path).content()
  }

  /** Puts a file there, synced, as if it had always been. */
  place(path: string, content: Uint8Array): void {
    const file = new SimulatedFile()
    file.write(content, 0)
    file.endSync(file.beginSync(), true)
    this.files.set(path, file)
  }

  /** Takes a file away, as if it had never been. */
  take(path: string): void {
    this.files.delete(path)
  }

  private interrupt(): void {
    this.mounted = undefined
    const pending = [...this.underWay]
    this.underWay.clear()
    for (const operation of pending) {
      operation.cancel()
      if (operation.half && this.random.next() < 0.5) operation.half()
    }
    for (const file of this.files.values()) file.abandonSyncs()
  }

  serves(mount: Mount): boolean {
    return mount === this.mounted
  }

  /** Lets an operation of a mount take effect later; `half` is what may have happened if it is cut short. */
  later(mount: Mount, operation: DiskOperation, path: string, effect: () => void, half?: () => void): void {
    if (!this.serves(mount)) return
    const { min, max } = this.faults.delay
    const delay = min + this.random.next() * (max - min)
    const pending: Pending = { half, cancel: () => {} }
    this.underWay.add(pending)
    pending.cancel = this.clock.after(delay, () => {
      this.observer?.(operation, path)
      if (this.underWay.delete(pending)) effect()
    })
  }

  strikes(fault: 'writeError' | 'syncError' | 'readError', path: string): boolean {
    const rate = this.faults[fault]
    if (rate === 0 || !this.faults.only(path) || this.random.next() >= rate) return false
    this.injected[fault]++
    return true
  }

  private fileNamed(path: string): SimulatedFile {
    const file = this.files.get(path)
    if (!file) throw new Error(`no file ${path}`)
    return file
  }
}

/** What the disk does wrong. Rates are shares of calls, 0 to 1. */
export interface DiskFaults {
  /** Milliseconds that an operation takes, uniform between the two. */
  delay: { min: number; max: number }
  /** Bytes that fit. */
  capacity: number
  writeError: number
  syncError: number
  readError: number
  /** Share of unsynced sectors that are torn at a crash, rather than wholly old or wholly new. */
  torn: number
  /** The files that rates apply to. */
  only: (path: string) => boolean
}

export type DiskFault =
  | 'lostSector'
  | 'tornSector'
  | 'shortWrite'
  | 'writeError'
  | 'syncError'
  | 'readError'
  | 'noSpace'
  | 'flippedBit'
  | 'crash'
  | 'kill'

export type DiskOperation =
  | 'list'
  | 'open'
  | 'write'
  | 'sync'
  | 'read'
  | 'truncate'
  | 'rename'
  | 'remove'
  | 'close'
  | 'free'

const noFaults: DiskFaults = {
  delay: { min: 0, max: 0 },
  capacity: Number.POSITIVE_INFINITY,
  writeError: 0,
  syncError: 0,
  readError: 0,
  torn: 0,
  only: () => true,
}

interface Pending {
  /** What may have happened when the power or the process goes before the answer. */
  readonly half: (() => void) | undefined
  cancel: () => void
}

/** A disk as one owner sees it, from mounting to crash. */
class Mount implements Disk {
  private readonly disk: FaultyDisk

  constructor(disk: FaultyDisk) {
    this.disk = disk
  }

  list(folder: string, done: (error: DiskError | null, entries: readonly DiskEntry[]) => void): void {
    this.disk.later(this, 'list', folder, () => {
      const prefix = folder === '' ? '' : `${folder}/`
      const entries: DiskEntry[] = []
      for (const [path, file] of this.disk.files) {
        const name = path.slice(prefix.length)
        if (path.startsWith(prefix) && !name.includes('/')) entries.push({ name, size: file.size })
      }
      done(null, entries)
    })
  }

  open(
    path: string,
    mode: DiskMode,
    done: (error: DiskError | null, file: DiskFile | null, size: number) => void,
  ): void {
    const create = () => {
      const old = this.disk.files.get(path)
      const file = new SimulatedFile()
      this.disk.files.set(path, file)
      return old
    }
    this.disk.later(
      this,
      'open',
      path,
      () => {
        if (mode === 'create') create()
        const file = this.disk.files.get(path)
        if (!file) done(failure('ENOENT', `no file ${path}`), null, 0)
        else done(null, new Handle(path, file), file.size)
      },
      mode === 'create' ? () => void create() : undefined,
    )
  }

  write(
    handle: DiskFile,
    buffers: readonly Uint8Array[],
    position: number,
    done: (error: DiskError | null) => void,
  ): void {
    const file = fileOf(handle)
    const bytes = Buffer.concat(buffers)
    const cutShort = () => {
      const part = Math.floor(this.disk.random.next() * (bytes.length + 1))
      if (part > 0 && part < bytes.length) this.disk.injected.shortWrite++
      file.write(bytes.subarray(0, part), position)
    }
    this.disk.later(
      this,
      'write',
      handle.path,
      () => {
        this.disk.calls.write++
        const room = this.disk.faults.capacity - this.disk.used() + Math.max(0, file.size - position)
        if (bytes.length > room) {
          this.disk.injected.noSpace++
          if (room > 0) this.disk.injected.shortWrite++
          file.write(bytes.subarray(0, Math.max(0, room)), position)
          done(failure('ENOSPC', 'no space left on device'))
        } else if (this.disk.strikes('writeError', handle.path)) {
          cutShort()
          done(failure('EIO', 'write failed'))
        } else {
          file.write(bytes, position)
          done(null)
        }
      },
      cutShort,
    )
  }

  sync(handle: DiskFile, done: (error: DiskError | null) => void): void {
    if (!this.disk.serves(this)) return
    const file = fileOf(handle)
    const covered = file.beginSync()
    this.disk.later(this, 'sync', handle.path, () => {
      this.disk.calls.sync++
      const failed = this.disk.strikes('syncError', handle.path)
      file.endSync(covered, !failed)
      done(failed ? failure('EIO', 'sync failed') : null)
    })
  }

  read(
    handle: DiskFile,
    into: Uint8Array,
    position: number,
    done: (error: DiskError | null, count: number) => void,
  ): void {
    const file = fileOf(handle)
    this.disk.later(this, 'read', handle.path, () => {
      this.disk.calls.read++
      if (this.disk.strikes('readError', handle.path)) done(failure('EIO', 'read failed'), 0)
      else done(null, file.read(into, position))
    })
  }

  truncate(handle: DiskFile, size: number, done: (error: DiskError | null) => void): void {
    const file = fileOf(handle)
    this.disk.later(this, 'truncate', handle.path, () => {
      file.truncate(size)
      done(null)
    })
  }

  rename(from: string, to: string, done: (error: DiskError | null) => void): void {
    const effect = () => {
      const file = this.disk.files.get(from)
      if (!file) return false
      this.disk.files.delete(from)
      this.disk.files.set(to, file)
      return true
    }
    this.disk.later(
      this,
      'rename',
      to,
      () => done(effect() ? null : failure('ENOENT', `no file ${from}`)),
      effect,
    )
  }

  remove(path: string, done: (error: DiskError | null) => void): void {
    const effect = () => void this.disk.files.delete(path)
    this.disk.later(
      this,
      'remove',
      path,
      () => {
        effect()
        done(null)
      },
      effect,
    )
  }

  close(handle: DiskFile, done: (error: DiskError | null) => void): void {
    this.disk.later(this, 'close', handle.path, () => done(null))
  }

  free(done: (error: DiskError | null, bytes: number) => void): void {
    this.disk.later(this, 'free', '', () =>
      done(null, Math.max(0, this.disk.faults.capacity - this.disk.used())),
    )
  }
}

class Handle implements DiskFile {
  readonly path: string
  readonly file: SimulatedFile

  constructor(path: string, file: SimulatedFile) {
    this.path = path
    this.file = file
  }
}

function fileOf(handle: DiskFile): SimulatedFile {
  if (!(handle instanceof Handle)) throw new Error('a file of another disk')
  return handle.file
}

function failure(code: string, message: string): DiskError {
  const error: DiskError = new Error(message)
  error.code = code
  return error
}
