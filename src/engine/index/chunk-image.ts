import { ByteWriter, type OperationReader } from '../ports/operations.ts'
import type { Chunk } from './chunk.ts'
import { PageChanges } from './page-changes.ts'

const INLINE = 0
const PAGED = 1

/**
 * A chunk as it was at one moment, for a checkpoint that is written over several turns: it is put into bytes when it is
 * taken, or before the first change if that comes sooner.
 *
 * chunk := 0 | entries (see Chunk.write)
 *        | 1 | varint page, first, last, live, bytes, minExpiry (0: none) | changes (see PageChanges)
 */
export class ChunkImage {
  /** Entries that taking it looks at; of one that lies in a page none. */
  readonly entries: number
  private chunk: Chunk | null
  private bytes: Uint8Array | null = null

  constructor(chunk: Chunk) {
    this.chunk = chunk
    this.entries = chunk.resident ? chunk.live : 0
    // An earlier checkpoint that was given up may have left one.
    chunk.image = this
  }

  /** The chunk is about to change. */
  save(chunk: Chunk): void {
    const writer = new ByteWriter(chunk.page < 0 ? chunk.live * 8 + 16 : 64)
    writeChunk(writer, chunk)
    this.bytes = writer.bytes.subarray(0, writer.length)
    this.forget()
  }

  take(writer: ByteWriter): void {
    if (this.chunk !== null) writeChunk(writer, this.chunk)
    else writer.putBytes(this.bytes!)
    this.forget()
    this.bytes = null
  }

  /** Nobody wants it any more. */
  forget(): void {
    if (this.chunk?.image === this) this.chunk.image = null
    this.chunk = null
  }
}

function writeChunk(writer: ByteWriter, chunk: Chunk): void {
  const changes = chunk.changed()
  if (changes === undefined) {
    writer.putByte(INLINE)
    chunk.write(writer)
    return
  }
  writer.putByte(PAGED)
  writer.putVarint(chunk.page)
  writer.putVarint(chunk.firstLsn)
  writer.putVarint(chunk.lastLsn)
  writer.putVarint(chunk.live)
  writer.putVarint(chunk.liveBytes)
  writer.putVarint(chunk.minExpiry === Number.POSITIVE_INFINITY ? 0 : chunk.minExpiry)
  changes.write(writer)
}

/** Fills a new chunk with what an image says. Answers the slots that wait. */
export function readChunkImage(reader: OperationReader, chunk: Chunk): readonly number[] {
  if (reader.byte() !== PAGED) return chunk.read(reader)
  const page = reader.varint()
  chunk.firstLsn = reader.varint()
  chunk.lastLsn = reader.varint()
  chunk.live = reader.varint()
  chunk.ready = chunk.live
  chunk.liveBytes = reader.varint()
  const minExpiry = reader.varint()
  chunk.minExpiry = minExpiry === 0 ? Number.POSITIVE_INFINITY : minExpiry
  chunk.evict(page, PageChanges.read(reader))
  return []
}
