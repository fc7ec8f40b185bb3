import { crc32 } from 'node:zlib'
import { OPERATION_HEADER } from '../engine/ports/operations.ts'

/** Numbers and headers of the files; docs/spec/journal.md draws them. */
export const FORMAT_VERSION = 1
/** Features of the format that this code knows, one bit each. None exist yet. */
export const KNOWN_FEATURES = 0

export const FILE_HEADER = 64
export const FRAME_HEADER = 48
/** A frame is closed when its payload has reached this size. */
export const FRAME_BYTES: number = 16 * 1024
/** Longest payload that is believed when reading: one operation may be this long. */
export const MAX_PAYLOAD: number = 16 * 1024 * 1024
/** Frames start at multiples of this, so that the search for the next one after damage is short. */
export const ALIGNMENT = 8

const FILE_MAGIC = Buffer.from('MILLRACE', 'latin1')
const FRAME_MAGIC = 0x3146524d
const TWO_32 = 0x100000000

export const FileKind = { journal: 1, cluster: 2, checkpoint: 3 } as const

export interface FileHeader {
  readonly kind: number
  readonly version: number
  readonly features: number
  readonly epoch: number
  /** Of the segment or checkpoint. */
  readonly number: number
  /** Journal: highest LSN committed before this file began. Checkpoint: replay begins after it. */
  readonly lsn: number
}

export function writeFileHeader(header: Omit<FileHeader, 'version' | 'features'>): Buffer {
  const bytes = Buffer.alloc(FILE_HEADER)
  FILE_MAGIC.copy(bytes)
  bytes.writeUInt32LE(FORMAT_VERSION, 8)
  bytes.writeUInt32LE(0, 12)
  bytes.writeUInt32LE(header.kind, 16)
  bytes.writeUInt32LE(header.epoch, 20)
  writeLong(bytes, header.number, 24)
  writeLong(bytes, header.lsn, 32)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 60)), 60)
  return bytes
}

/** Undefined when the bytes are no header or are damaged. Magic, version and checksum stay where they are for ever. */
export function readFileHeader(bytes: Buffer): FileHeader | undefined {
  if (bytes.length < FILE_HEADER || !bytes.subarray(0, 8).equals(FILE_MAGIC)) return undefined
  if (bytes.readUInt32LE(60) !== crc32(bytes.subarray(0, 60))) return undefined
  return {
    version: bytes.readUInt32LE(8),
    features: bytes.readUInt32LE(12),
    kind: bytes.readUInt32LE(16),
    epoch: bytes.readUInt32LE(20),
    number: readLong(bytes, 24),
    lsn: readLong(bytes, 32),
  }
}

/** The header of a frame; reused by readers. */
export class FrameHeader {
  crc = 0
  /** Bytes of operations after the header, padding excluded. */
  length = 0
  count = 0
  firstLsn = 0
  lastLsn = 0
  /** In a journal segment the LSN known durable when the frame was written; in a cluster the queue of the run. */
  mark = 0
  epoch = 0

  /** Bytes from the start of this frame to the next. */
  get span(): number {
    return frameSpan(this.length)
  }
}

export function frameSpan(length: number): number {
  return FRAME_HEADER + length + padding(length)
}

export function padding(length: number): number {
  return -length & (ALIGNMENT - 1)
}

/** Writes the header of a frame that starts at `position` of segment `segment`, checksum included. */
export function writeFrameHeader(
  header: FrameHeader,
  payload: Uint8Array,
  segment: number,
  position: number,
): Buffer {
  const bytes = Buffer.allocUnsafe(FRAME_HEADER)
  bytes.writeUInt32LE(FRAME_MAGIC, 0)
  bytes.writeUInt32LE(header.length, 8)
  bytes.writeUInt32LE(header.count, 12)
  writeLong(bytes, header.firstLsn, 16)
  writeLong(bytes, header.lastLsn, 24)
  writeLong(bytes, header.mark, 32)
  bytes.writeUInt32LE(header.epoch, 40)
  bytes.writeUInt32LE(0, 44)
  bytes.writeUInt32LE(checksum(bytes, payload, segment, position), 4)
  return bytes
}

/**
 * Reads the fields at `at` if they can be those of a frame; says nothing about the checksum. Anything implausible is false,
 * so that nothing large is read because garbage says that it is there.
 */
export function readFrameHeader(bytes: Buffer, at: number, header: FrameHeader): boolean {
  if (at + FRAME_HEADER > bytes.length || bytes.readUInt32LE(at) !== FRAME_MAGIC) return false
  header.crc = bytes.readUInt32LE(at + 4)
  header.length = bytes.readUInt32LE(at + 8)
  header.count = bytes.readUInt32LE(at + 12)
  header.firstLsn = readLong(bytes, at + 16)
  header.lastLsn = readLong(bytes, at + 24)
  header.mark = readLong(bytes, at + 32)
  header.epoch = bytes.readUInt32LE(at + 40)
  const isPlausible = header.length <= MAX_PAYLOAD && header.count * OPERATION_HEADER <= header.length
  return isPlausible && header.lastLsn >= header.firstLsn && bytes.readUInt32LE(at + 44) === 0
}

/** Whether the frame at `at` of `bytes`, which lies at `position` of segment `segment`, is whole. */
export function frameIsWhole(
  bytes: Buffer,
  at: number,
  header: FrameHeader,
  segment: number,
  position: number,
): boolean {
  const start = at + FRAME_HEADER
  const end = start + header.length
  if (end > bytes.length) return false
  const head = bytes.subarray(at, start)
  return checksum(head, bytes.subarray(start, end), segment, position) === header.crc
}

/** Where the next magic of a frame lies in `bytes` at or after `from`, stepping by the alignment; -1 for nowhere. */
export function findFrameMagic(bytes: Buffer, from: number): number {
  for (let at = from; at + 4 <= bytes.length; at += ALIGNMENT) {
    if (bytes.readUInt32LE(at) === FRAME_MAGIC) return at
  }
  return -1
}

/** The checksum depends on the place, so that bytes that strayed in from elsewhere are not taken for a frame. */
function checksum(header: Buffer, payload: Uint8Array, segment: number, position: number): number {
  const place = (Math.imul(segment, 0x9e3779b1) + position / ALIGNMENT) >>> 0
  return crc32(payload, crc32(header.subarray(8, FRAME_HEADER), place))
}

function writeLong(bytes: Buffer, value: number, at: number): void {
  bytes.writeUInt32LE(value % TWO_32, at)
  bytes.writeUInt32LE(Math.floor(value / TWO_32), at + 4)
}

function readLong(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * TWO_32
}

/** Names of files in the directory. */
export const JOURNAL_FOLDER = 'journal'
export const QUARANTINE_FOLDER = 'quarantine'
export const PAGES_FILE = 'pages'
export const RESERVE_FILE = 'reserve'
export const CHECKPOINT_DRAFT = 'checkpoint.draft'

export function segmentPath(kind: number, number: number): string {
  return `${JOURNAL_FOLDER}/${digits(number)}.${kind === FileKind.cluster ? 'cluster' : 'segment'}`
}

export function checkpointPath(number: number): string {
  return `checkpoint-${digits(number)}`
}

/** What a name in the journal folder says; undefined for files that are not ours. */
export function parseSegmentName(name: string): { kind: number; number: number } | undefined {
  const match = /^(\d{10})\.(segment|cluster)$/.exec(name)
  if (!match) return undefined
  return { kind: match[2] === 'cluster' ? FileKind.cluster : FileKind.journal, number: Number(match[1]) }
}

export function parseCheckpointName(name: string): number | undefined {
  const match = /^checkpoint-(\d{10})$/.exec(name)
  return match ? Number(match[1]) : undefined
}

function digits(number: number): string {
  return String(number).padStart(10, '0')
}
