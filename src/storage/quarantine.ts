import type { QuarantineEntry } from '../engine/ports/store.ts'
import type { DiskFile } from './disk.ts'
import type { DiskIo } from './disk-io.ts'
import { QUARANTINE_FOLDER } from './format.ts'

const PIECE = 1024 * 1024

/** What is known about damaged bytes of a file. */
export type DamageReport = Omit<QuarantineEntry, 'keptAs'>

/** Keeps copies of damaged bytes, each with a JSON file beside it that says what is known. Nothing is ever deleted. */
export class Quarantine {
  readonly entries: QuarantineEntry[] = []
  /** Entries in the folder from before. */
  private earlier = new Set<string>()
  private readonly io: DiskIo
  private work: Promise<void> = Promise.resolve()

  constructor(io: DiskIo) {
    this.io = io
  }

  get count(): number {
    return this.earlier.size
  }

  async open(): Promise<void> {
    for (const { name } of await this.io.list(QUARANTINE_FOLDER)) {
      if (name.endsWith('.json')) this.earlier.add(name)
    }
  }

  /** Copies the bytes in the background; the same damage is kept once. The name says where they came from. */
  keep(report: DamageReport): Promise<void> {
    const name = `${report.file.replaceAll('/', '-')}-${report.offset}-${report.length}`
    const known = this.entries.some((entry) => entry.file === report.file && entry.offset === report.offset)
    if (known) return this.work
    const kept = report.length > 0 ? `${QUARANTINE_FOLDER}/${name}.bin` : ''
    const entry = { ...report, keptAs: kept }
    this.entries.push(entry)
    this.earlier.add(`${name}.json`)
    this.work = this.work.then(() => this.store(entry, name))
    return this.work
  }

  /** Resolves when everything given so far is kept. */
  settled(): Promise<void> {
    return this.work
  }

  private async store(entry: QuarantineEntry, name: string): Promise<void> {
    try {
      if (entry.keptAs !== '') await this.copy(entry)
      const { file } = await this.io.open(`${QUARANTINE_FOLDER}/${name}.json`, 'create')
      await this.io.write(file, [Buffer.from(`${JSON.stringify(entry, undefined, 2)}\n`)], 0)
      await this.io.sync(file)
      await this.io.close(file)
    } catch {
      // No reason to stop: the damaged bytes stay where they are, as long as their file does.
    }
  }

  private async copy(entry: QuarantineEntry): Promise<void> {
    const source = await this.io.open(entry.file, 'read')
    const target = await this.io.open(entry.keptAs, 'create')
    try {
      await this.copyBytes(source.file, target.file, entry)
      await this.io.sync(target.file)
    } finally {
      await this.io.close(source.file)
      await this.io.close(target.file)
    }
  }

  private async copyBytes(source: DiskFile, target: DiskFile, entry: QuarantineEntry): Promise<void> {
    for (let done = 0; done < entry.length; done += PIECE) {
      const bytes = await this.io.read(source, entry.offset + done, Math.min(PIECE, entry.length - done))
      await this.io.write(target, [bytes], done)
      if (bytes.length === 0) return
    }
  }
}
