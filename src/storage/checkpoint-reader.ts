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
      const end = await this.verifySections(file, size)
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
      let position = FILE_HEADER
      for (;;) {
        const section = await this.sectionAt(opened.file, position, opened.size)
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

  private async verifySections(file: DiskFile, size: number): Promise<CheckpointEnd | undefined> {
    let crc = 0
    const sum = Buffer.alloc(4)
    let position = FILE_HEADER
    for (let count = 0; ; count++) {
      const section = await this.sectionAt(file, position, size)
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
    file: DiskFile,
    position: number,
    size: number,
  ): Promise<(CheckpointSection & { crc: number; end: number }) | undefined> {
    const head = (await this.io.readPatiently(file, position, SECTION_HEADER)).bytes
    const header = readSectionHeader(head)
    if (!header || position + SECTION_HEADER + header.length > size) return undefined
    const { length, kind, crc } = header
    const payload = (await this.io.readPatiently(file, position + SECTION_HEADER, length)).bytes
    if (sectionChecksum(head, payload, this.number, position) !== crc) return undefined
    return { kind, payload, crc, end: position + SECTION_HEADER + length + padding(length) }
  }
}
