import { crc32 } from 'node:zlib'
import { OperationReader } from '../engine/ports/operations.ts'
import {
  type CheckpointEnd,
  readEnd,
  readSectionHeader,
  SECTION_HEADER,
  SectionKind,
  sectionChecksum,
} from './checkpoint-format.ts'
import type { DiskFile } from './disk.ts'
import type { DiskIo } from './disk-io.ts'
import { checkpointPath, FILE_HEADER, padding, readFileHeader } from './format.ts'

/** Read at once, where a section is not larger: many are small. */
const WINDOW = 512 * 1024

export interface CheckpointSummary {
  readonly number: number
  /** Replay begins after it. */
  readonly lsn: number
  readonly end: CheckpointEnd
}

export interface CheckpointSection {
  readonly kind: number
  readonly payload: Buffer
}

/** Reads one checkpoint file, section by section. */
export class CheckpointReader {
  private readonly io: DiskIo
  private readonly number: number
  private readonly path: string

  constructor(io: DiskIo, number: number) {
    this.io = io
    this.number = number
    this.path = checkpointPath(number)
  }

  /** Reads the whole file; undefined when any of it is damaged or missing. */
  async verify(): Promise<CheckpointSummary | undefined> {
    const opened = await this.open()
    if (!opened) return undefined
    const { file, size } = opened
    try {
      const header = readFileHeader((await this.io.readPatiently(file, 0, FILE_HEADER)).bytes)
      const end = await this.verifySections(new Window(this.io, file, size))
      return header && end ? { number: this.number, lsn: header.lsn, end } : undefined
    } finally {
      await this.io.close(file)
    }
  }

  /** Visits the sections of a file that was verified. */
  async visitSections(visit: (section: CheckpointSection) => void): Promise<void> {
    const opened = await this.open()
    if (!opened) return
    try {
      const window = new Window(this.io, opened.file, opened.size)
      let position = FILE_HEADER
      for (;;) {
        const section = await this.sectionAt(window, position)
        if (!section) return
        visit(section)
        position = section.end
      }
    } finally {
      await this.io.close(opened.file)
    }
  }

  private async open(): Promise<{ file: DiskFile; size: number } | undefined> {
    try {
      return await this.io.open(this.path, 'read')
    } catch {
      return undefined
    }
  }

  private async verifySections(window: Window): Promise<CheckpointEnd | undefined> {
    let crc = 0
    const sum = Buffer.alloc(4)
    let position = FILE_HEADER
    for (let count = 0; ; count++) {
      const section = await this.sectionAt(window, position)
      if (!section) return undefined
      if (section.kind === SectionKind.end) {
        const end = readEnd(new OperationReader().reset(section.payload, 0, section.payload.length))
        return end?.sections === count && end.crc === crc ? end : undefined
      }
      sum.writeUInt32LE(section.crc)
      crc = crc32(sum, crc)
      position = section.end
    }
  }

  private async sectionAt(
    window: Window,
    position: number,
  ): Promise<(CheckpointSection & { crc: number; end: number }) | undefined> {
    const head = await window.read(position, SECTION_HEADER)
    const header = readSectionHeader(head)
    if (!header || position + SECTION_HEADER + header.length > window.size) return undefined
    const { length, kind, crc } = header
    const payload = await window.read(position + SECTION_HEADER, length)
    if (sectionChecksum(head, payload, this.number, position) !== crc) return undefined
    return { kind, payload, crc, end: position + SECTION_HEADER + length + padding(length) }
  }
}

/** A file that is read from its beginning to its end, in large pieces. */
class Window {
  readonly size: number
  private readonly io: DiskIo
  private readonly file: DiskFile
  private bytes: Buffer = Buffer.alloc(0)
  private start = 0

  constructor(io: DiskIo, file: DiskFile, size: number) {
    this.io = io
    this.file = file
    this.size = size
  }

  /** Less than `length` at the end of the file. */
  async read(position: number, length: number): Promise<Buffer> {
    const end = Math.min(this.size, position + length)
    if (position < this.start || end > this.start + this.bytes.length) {
      const size = Math.max(0, Math.min(this.size - position, Math.max(WINDOW, length)))
      this.bytes = (await this.io.readPatiently(this.file, position, size)).bytes
      this.start = position
    }
    return this.bytes.subarray(position - this.start, end - this.start)
  }
}
