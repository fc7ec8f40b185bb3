import { crc32 } from 'node:zlib'
import type { Clock } from '../engine/ports/clock.ts'
import { ByteWriter } from '../engine/ports/operations.ts'
import { assert } from '../model/errors.ts'
import {
  MAX_SECTION,
  SectionKind,
  writeChunks,
  writeEnd,
  writeExtent,
  writeSectionHeader,
  writeSegment,
} from './checkpoint-format.ts'
import type { DiskFile } from './disk.ts'
import type { DiskIo } from './disk-io.ts'
import { CHECKPOINT_DRAFT, checkpointPath, FileKind, padding, writeFileHeader } from './format.ts'
import type { Liveness } from './liveness.ts'
import type { Pages } from './pages.ts'
import type { SegmentSet } from './segments.ts'
import { nextTurn } from './turns.ts'
import type { Writer } from './writer.ts'

const CHUNKS_A_SECTION = 4096

export interface CheckpointParts {
  readonly io: DiskIo
  readonly clock: Clock
  readonly writer: Writer
  readonly segments: SegmentSet
  readonly liveness: Liveness
  readonly pages: Pages
  readonly epoch: number
  /** Sections are gathered up to this and written together; then others have their turn. */
  readonly sliceBytes: number
}

/**
 * Writes one checkpoint to a draft, while commits go on. Replay will begin after the LSN at which it began; what
 * changed meanwhile is told apart by the LSN that each section, and each extent, carries.
 */
export class CheckpointWriter {
  readonly number: number
  private readonly parts: CheckpointParts
  private file: DiskFile | undefined
  private buffers: Uint8Array[] = []
  private buffered = 0
  private position = 0
  private flushed = 0
  private sections = 0
  private crc = 0

  constructor(parts: CheckpointParts, number: number) {
    this.parts = parts
    this.number = number
  }

  /** Bytes of the file. */
  get size(): number {
    return this.position
  }

  /**
   * Resolves when the checkpoint is durable under its name. Rejects with a disk's error, or with the failure of the
   * journal; the draft is then left for the next attempt to overwrite.
   */
  async write(snapshot: () => Iterable<Uint8Array>): Promise<void> {
    const { io, writer, segments, pages, epoch, clock } = this.parts
    const lsn = writer.lastLsn
    pages.beginCheckpoint(this.number)
    this.file = (await io.open(CHECKPOINT_DRAFT, 'create')).file
    try {
      this.push(writeFileHeader({ kind: FileKind.checkpoint, epoch, number: this.number, lsn }))
      for (const section of snapshot()) {
        this.section(SectionKind.engine, section)
        if (this.buffered >= this.parts.sliceBytes) await this.flush()
      }
      // What the engine has done but not yet committed when its last section was taken is committed after this turn.
      await nextTurn(clock)
      // A segment that replay will not read is described in full: its last frames must have been formed.
      await writer.durableUpTo(lsn)
      segments.retireDead(lsn)
      const nextNumber = segments.nextNumber
      await this.ownSections(nextNumber)
      await this.close(nextNumber)
    } finally {
      await io.close(this.file)
    }
    await io.rename(CHECKPOINT_DRAFT, checkpointPath(this.number))
  }

  private async ownSections(nextNumber: number): Promise<void> {
    const { segments, liveness, pages, writer } = this.parts
    for (const segment of segments.used.filter(({ number }) => number < nextNumber)) {
      this.encoded(SectionKind.segment, (out) => writeSegment(out, segment))
      for (const extent of segment.extents) {
        this.encoded(SectionKind.extent, (out) => writeExtent(out, extent, writer.lastLsn))
        if (this.buffered >= this.parts.sliceBytes) await this.flush()
      }
    }
    const chunks = [...liveness.chunks]
    const bodies = [...liveness.bodies]
    for (let i = 0; i < Math.max(chunks.length, bodies.length); i += CHUNKS_A_SECTION) {
      const part = [i, i + CHUNKS_A_SECTION] as const
      this.encoded(SectionKind.chunks, (out) =>
        writeChunks(out, chunks.slice(...part), bodies.slice(...part)),
      )
      if (this.buffered >= this.parts.sliceBytes) await this.flush()
    }
    this.encoded(SectionKind.pages, (out) => pages.save(out, this.number))
  }

  /** Nothing in the file may be ahead of the journal: it is closed when all that it may contain is durable. */
  private async close(nextNumber: number): Promise<void> {
    const { io, writer, segments, pages } = this.parts
    const durableLsn = writer.lastLsn
    await writer.durableUpTo(durableLsn)
    await pages.sync()
    for (const segment of segments.retired) segment.removableAt ??= this.number + 1
    const kept = segments.retired.filter((one) => one.removableAt! > this.number).map(({ number }) => number)
    const { sections, crc } = this
    this.section(SectionKind.end, writeEnd({ durableLsn, nextNumber, sections, crc, kept }))
    await this.flush()
    await io.sync(this.file!)
  }

  private encoded(kind: number, encode: (out: ByteWriter) => void): void {
    const out = new ByteWriter()
    encode(out)
    this.section(kind, out.bytes.subarray(0, out.length))
  }

  private section(kind: number, payload: Uint8Array): void {
    assert(payload.length <= MAX_SECTION, 'a section of a checkpoint is not too large')
    const header = writeSectionHeader(kind, payload, this.number, this.position)
    this.push(header)
    this.push(payload)
    this.push(Buffer.alloc(padding(payload.length)))
    this.crc = crc32(header.subarray(4, 8), this.crc)
    this.sections++
  }

  private push(bytes: Uint8Array): void {
    this.buffers.push(bytes)
    this.buffered += bytes.length
    this.position += bytes.length
  }

  private async flush(): Promise<void> {
    const buffers = this.buffers
    const position = this.flushed
    this.flushed = this.position
    this.buffers = []
    this.buffered = 0
    await this.parts.io.write(this.file!, buffers, position)
  }
}
