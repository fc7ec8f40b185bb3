import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** The files of a memory control group, in its two versions. */
const versions = [
  {
    name: 'cgroup v2',
    root: '/sys/fs/cgroup',
    limit: 'memory.max',
    peak: 'memory.peak',
    present: 'memory.current',
  },
  {
    name: 'cgroup v1',
    root: '/sys/fs/cgroup/memory',
    limit: 'memory.limit_in_bytes',
    peak: 'memory.max_usage_in_bytes',
    present: 'memory.usage_in_bytes',
  },
] as const

/** A bound on what processes have in memory, their share of the page cache included. */
export class MemoryLimit implements Disposable {
  readonly how: string
  private readonly folder: string
  private readonly files: (typeof versions)[number]

  private constructor(files: (typeof versions)[number], folder: string) {
    this.files = files
    this.folder = folder
    this.how = files.name
  }

  /** Undefined, after saying why, where this process may not make control groups. */
  static create(bytes: number, refused: (why: string) => void): MemoryLimit | undefined {
    for (const files of versions) {
      if (
        !existsSync(join(files.root, files.limit === 'memory.max' ? 'cgroup.subtree_control' : files.limit))
      )
        continue
      const folder = join(files.root, `millrace-bench-${process.pid}`)
      try {
        mkdirSync(folder)
        writeFileSync(join(folder, files.limit), String(bytes))
        return new MemoryLimit(files, folder)
      } catch (error) {
        if (existsSync(folder)) rmdirSync(folder)
        refused(`${files.name}: ${(error as Error).message}`)
      }
    }
    return undefined
  }

  /** The process is bound from now on, and whatever it starts. */
  add(pid: number): void {
    writeFileSync(join(this.folder, 'cgroup.procs'), String(pid))
  }

  /** The most that they have had, in bytes; old kernels of v2 do not say. */
  peak(): number | undefined {
    const file = join(this.folder, this.files.peak)
    return existsSync(file) ? Number(readFileSync(file, 'latin1')) : undefined
  }

  /** To be called when all of its processes have ended. */
  [Symbol.dispose](): void {
    rmdirSync(this.folder)
  }
}
