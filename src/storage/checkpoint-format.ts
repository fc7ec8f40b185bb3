import { crc32 } from 'node:zlib'
import { ByteWriter, type OperationReader, readList } from '../engine/ports/operations.ts'
import { Extent } from './extent.ts'
import { LiveBlock, makeCounts } from './live-block.ts'
import type { ChunkState } from './liveness.ts'
import { Segment } from './segment.ts'

/** Sections of a checkpoint file; docs/spec/journal.md draws them. */
export const SectionKind = { engine: 1, segment: 2, extent: 3, chunks: 4, pages: 5, end: 6 } as const

export const SECTION_HEADER = 16
export const MAX_SECTION: number = 32 * 1024 * 1024
const SECTION_MAGIC = 0x3153524d

const BlockFlag = { sizes: 8, widths: 7 } as const

/** The header of a section whose payload follows; `position` is its place in the file of checkpoint `number`. */
export function writeSectionHeader(
  kind: number,
  payload: Uint8Array,
  number: number,
  position: number,
): Buffer {
  const bytes = Buffer.alloc(SECTION_HEADER)
  bytes.writeUInt32LE(SECTION_MAGIC, 0)
  bytes.writeUInt32LE(payload.length, 8)
  bytes.writeUInt32LE(kind, 12)
  bytes.writeUInt32LE(sectionChecksum(bytes, payload, number, position), 4)
  return bytes
}

export function readSectionHeader(bytes: Buffer): { crc: number; length: number; kind: number } | undefined {
  if (bytes.length < SECTION_HEADER || bytes.readUInt32LE(0) !== SECTION_MAGIC) return undefined
  const length = bytes.readUInt32LE(8)
  if (length > MAX_SECTION) return undefined
  return { crc: bytes.readUInt32LE(4), length, kind: bytes.readUInt32LE(12) }
}

export function sectionChecksum(
  header: Buffer,
  payload: Uint8Array,
  number: number,
  position: number,
): number {
  const place = (Math.imul(number, 0x9e3779b1) + position / 8) >>> 0
  return crc32(payload, crc32(header.subarray(8, SECTION_HEADER), place))
}

/** segment := varint number, kind, size, lastLsn, precededBy, switches, n, (varint queue, lsn, offset)[n], end */
export function writeSegment(out: ByteWriter, segment: Segment): void {
  const { table } = segment
  for (const value of [segment.number, segment.kind, segment.size, segment.lastLsn, segment.precededBy]) {
    out.putVarint(value)
  }
  out.putVarint(segment.switches)
  out.putVarint(table.count)
  for (let i = 0; i < table.count; i++) {
    out.putVarint(table.queue(i))
    out.putVarint(table.lsn(i))
    out.putVarint(table.offset(i))
  }
  out.putVarint(table.end)
}

export function readSegment(reader: OperationReader): Segment | undefined {
  const number = reader.varint()
  const segment = new Segment(reader.varint(), number)
  segment.size = reader.varint()
  segment.written = segment.size
  segment.lastLsn = reader.varint()
  segment.precededBy = reader.varint()
  segment.switches = reader.varint()
  segment.sealed = true
  const count = reader.varint()
  for (let i = 0; i < count && !reader.failed; i++) {
    segment.table.add(reader.varint(), reader.varint(), reader.varint())
  }
  segment.table.end = reader.varint()
  return reader.failed ? undefined : segment
}

/**
 * extent := varint home, firstLsn, lastLsn, asOf, n, block[n]
 * block  := varint number, live, bytes | u8 flags | bits[512] | sizes[4096] if flagged | holders[4096 × width] if any
 */
export function writeExtent(out: ByteWriter, extent: Extent, asOf: number): void {
  for (const value of [extent.home.number, extent.firstLsn, extent.lastLsn, asOf]) out.putVarint(value)
  out.putVarint(extent.blocks.reduce((count, block) => count + (block ? 1 : 0), 0))
  extent.blocks.forEach((block, number) => {
    if (block) writeBlock(out, number, block)
  })
}

function writeBlock(out: ByteWriter, number: number, block: LiveBlock): void {
  out.putVarint(number)
  out.putVarint(block.live)
  out.putVarint(Math.round(block.bytes))
  out.putByte((block.extra?.BYTES_PER_ELEMENT ?? 0) | (block.sizes ? BlockFlag.sizes : 0))
  out.putBytes(bytesOf(block.bits))
  if (block.sizes) out.putBytes(block.sizes)
  if (block.extra) out.putBytes(bytesOf(block.extra))
}

/** Undefined when the bytes do not fit, or name a home that is not in `homes`. */
export function readExtent(reader: OperationReader, homes: ReadonlyMap<number, Segment>): Extent | undefined {
  const home = homes.get(reader.varint())
  const firstLsn = reader.varint()
  if (!home) return undefined
  const extent = new Extent(firstLsn, home)
  extent.lastLsn = reader.varint()
  extent.asOf = reader.varint()
  const blocks = reader.varint()
  for (let i = 0; i < blocks && !reader.failed; i++) {
    const number = reader.varint()
    const block = readBlock(reader)
    if (!reader.failed) extent.adopt(number, block)
  }
  home.extents.push(extent)
  return reader.failed ? undefined : extent
}

function readBlock(reader: OperationReader): LiveBlock {
  const block = new LiveBlock()
  block.live = reader.varint()
  block.bytes = reader.varint()
  const flags = reader.byte()
  fill(block.bits, reader)
  if (flags & BlockFlag.sizes) {
    block.sizes = new Uint8Array(makeCounts(1).length)
    fill(block.sizes, reader)
  }
  const width = flags & BlockFlag.widths
  if (width > 0) {
    block.extra = makeCounts(width)
    fill(block.extra, reader)
  }
  return block
}

/** chunks := varint n, (varint lsn, size)[n] | varint m, (varint message, k, varint chunk[k])[m] */
export function writeChunks(
  out: ByteWriter,
  chunks: readonly (readonly [number, ChunkState])[],
  bodies: readonly (readonly [number, readonly number[]])[],
): void {
  out.putVarint(chunks.length)
  for (const [lsn, { size }] of chunks) {
    out.putVarint(lsn)
    out.putVarint(size)
  }
  out.putVarint(bodies.length)
  for (const [lsn, listed] of bodies) {
    out.putVarint(lsn)
    out.putList(listed)
  }
}

/** Adds what a section holds to the maps. */
export function readChunks(
  reader: OperationReader,
  chunks: Map<number, ChunkState>,
  bodies: Map<number, readonly number[]>,
): void {
  const count = reader.varint()
  for (let i = 0; i < count && !reader.failed; i++) {
    const lsn = reader.varint()
    chunks.set(lsn, { size: reader.varint(), holders: 0 })
  }
  const messages = reader.varint()
  for (let i = 0; i < messages && !reader.failed; i++) {
    const lsn = reader.varint()
    bodies.set(lsn, readList(reader))
  }
}

/** end := varint durableLsn, nextNumber, sections, crc | list kept */
export interface CheckpointEnd {
  /** Everything up to it was on disk when the checkpoint was closed. */
  readonly durableLsn: number
  /** Files with this number or a higher one came after the checkpoint. */
  readonly nextNumber: number
  readonly sections: number
  /** CRC-32 of the checksums of the sections before, in order. */
  readonly crc: number
  /** Files that only the checkpoint before this one needs. */
  readonly kept: readonly number[]
}

export function readEnd(reader: OperationReader): CheckpointEnd | undefined {
  const durableLsn = reader.varint()
  const nextNumber = reader.varint()
  const sections = reader.varint()
  const crc = reader.varint()
  const kept = readList(reader)
  return reader.failed ? undefined : { durableLsn, nextNumber, sections, crc, kept }
}

export function writeEnd(end: CheckpointEnd): Buffer {
  const out = new ByteWriter(64)
  out.putVarint(end.durableLsn)
  out.putVarint(end.nextNumber)
  out.putVarint(end.sections)
  out.putVarint(end.crc)
  out.putList(end.kept)
  return out.bytes.subarray(0, out.length)
}

function bytesOf(array: Uint8Array | Uint16Array | Uint32Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
}

function fill(array: Uint8Array | Uint16Array | Uint32Array, reader: OperationReader): void {
  const start = reader.skip(array.byteLength)
  if (!reader.failed) bytesOf(array).set(reader.bytes.subarray(start, start + array.byteLength))
}
