import { isHeld, isUndecided, StateCode } from '../lifecycle.ts'
import { type ByteWriter, OperationReader, writeVarint } from '../ports/operations.ts'
import type { ChunkImage } from './chunk-image.ts'
import { PageChanges, type Patch } from './page-changes.ts'

/** Entries in a full chunk: small enough to page in within a turn, large enough that 100 M messages need few chunks. */
export const CHUNK_SLOTS = 1024
const INITIAL_SLOTS = 4

/** Bits of an entry's flags. */
export const EntryFlag = {
  /** Visible when written (level os), or at once (level memory); neither bit: when durable. */
  os: 1,
  memory: 2,
} as const

/** Words of an entry: its LSN, low and high; its size; and state, flags and deliveries, so many bits each. */
const WORDS = 4
const HIGH = 1
const SIZE = 2
const STATE = 3
const WORD = 2 ** 32
const STATE_MASK = 15
const FLAGS_SHIFT = 4
const FLAGS_MASK = 3
const FLAGS = FLAGS_MASK << FLAGS_SHIFT
const DELIVERIES_SHIFT = 16
const MOST_DELIVERIES = 0xffff
/** The state of what is not there. */
const GONE = STATE_MASK

const none = new Uint32Array(0)
const READY = StateCode.ready
const WAITING = StateCode.waiting
/** Bits of a written entry, beside those of its flags, 16, 32 and 64. */
const PENDING_BIT = 4
const PREPARED_BIT = 8

/**
 * Up to CHUNK_SLOTS consecutive entries of a lane, in LSN order. A slot stays where it is from enqueue to settlement, so that
 * a message that comes back is again in its old place. A chunk whose live entries are all ready can be written to a page and
 * its arrays dropped.
 *
 * What every entry has lies in one array, 16 bytes each: among thousands of queues each array costs three lines of memory
 * that no cache holds.
 */
export class Chunk {
  /** Position in the lane; never changes. */
  readonly number: number
  /** Of its lane. */
  readonly priority: number
  private words: Uint32Array = none
  private failures: Uint16Array | null = null
  /** Wall milliseconds; 0: never. Null while no entry of the chunk expires. */
  private expiries: Float64Array | null = null
  /** Wall milliseconds at which a waiting entry becomes ready. */
  private dues: Float64Array | null = null
  /** Numbers of message groups (see groupNumber); 0: none. Null while no entry of the chunk belongs to one. */
  private groups: Uint32Array | null = null
  resident = true
  loading = false
  length = 0
  live = 0
  ready = 0
  liveBytes = 0
  firstLsn = 0
  lastLsn = 0
  /** No entry expires before this. */
  minExpiry: number = Number.POSITIVE_INFINITY
  /** Page that holds the entries; -1: none. While they are resident it has them as they were when it was written, or some more. */
  page = -1
  /** No slot below is ready. */
  scan = 0
  /** Wants to know how the chunk was at a certain moment: it is told before the first change after that. */
  image: ChunkImage | null = null
  /** The page was written by an earlier run, whose messages of level 'memory' are gone. */
  fromEarlierRun = false
  /** Of entries that are not resident. */
  private changes: PageChanges | null = null

  constructor(number: number, priority: number) {
    this.number = number
    this.priority = priority
  }

  /** Whether an entry may be appended: in a page it would be missing. */
  get isOpen(): boolean {
    return this.length < CHUNK_SLOTS && this.resident && this.page < 0
  }

  append(lsn: number, size: number, expiry: number, flags: number, group = 0): void {
    if (this.image !== null) this.image.save(this)
    const slot = this.length
    if (slot === this.room) this.resize(nextSize(slot))
    if (slot === 0) this.firstLsn = lsn
    this.lastLsn = lsn
    const { words } = this
    const at = slot * WORDS
    words[at] = lsn
    words[at + HIGH] = lsn / WORD
    words[at + SIZE] = size
    words[at + STATE] = READY | (flags << FLAGS_SHIFT)
    if (expiry > 0) this.setExpiry(slot, expiry)
    if (group > 0) this.setGroup(slot, group)
    this.length = slot + 1
    this.live++
    this.ready++
    this.liveBytes += size
  }

  lsnOf(slot: number): number {
    const at = slot * WORDS
    return this.words[at + HIGH]! * WORD + this.words[at]!
  }

  sizeOf(slot: number): number {
    return this.words[slot * WORDS + SIZE]!
  }

  /** None of the states when the chunk has no such slot, or has it no more. */
  stateOf(slot: number): number {
    return slot < this.length ? this.words[slot * WORDS + STATE]! & STATE_MASK : GONE
  }

  flagsOf(slot: number): number {
    return (this.words[slot * WORDS + STATE]! >>> FLAGS_SHIFT) & FLAGS_MASK
  }

  setState(slot: number, state: number): void {
    const at = slot * WORDS + STATE
    const word = this.words[at]!
    const before = word & STATE_MASK
    if (before === state) return
    if (this.image !== null) this.image.save(this)
    this.words[at] = word ^ before ^ state
    if (before === READY) this.ready--
    if (state === READY) {
      this.ready++
      if (slot < this.scan) this.scan = slot
    } else if (!isHeld(state)) {
      this.live--
      this.liveBytes -= this.sizeOf(slot)
    }
  }

  /** First ready slot at or after `from`; -1 when there is none. */
  nextReady(from: number): number {
    let slot = from > this.scan ? from : this.scan
    const { words, length } = this
    const all = slot === this.scan
    while (slot < length && (words[slot * WORDS + STATE]! & STATE_MASK) !== READY) slot++
    if (all) this.scan = slot
    return slot < length ? slot : -1
  }

  /** Slot of an LSN; -1 when the chunk does not hold it. */
  find(lsn: number): number {
    const slot = this.slotFrom(lsn)
    return slot < this.length && this.lsnOf(slot) === lsn ? slot : -1
  }

  /** First slot whose LSN is not below `lsn`; `length` when there is none. */
  slotFrom(lsn: number): number {
    let low = 0
    let high = this.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.lsnOf(middle) < lsn) low = middle + 1
      else high = middle
    }
    return low
  }

  oldestLsn(): number {
    for (let slot = 0; slot < this.length; slot++) if (isHeld(this.stateOf(slot))) return this.lsnOf(slot)
    return this.firstLsn
  }

  expiryOf(slot: number): number {
    return this.expiries === null ? 0 : this.expiries[slot]!
  }

  deliveriesOf(slot: number): number {
    return this.words[slot * WORDS + STATE]! >>> DELIVERIES_SHIFT
  }

  failuresOf(slot: number): number {
    return this.failures === null ? 0 : this.failures[slot]!
  }

  groupOf(slot: number): number {
    return this.groups === null ? 0 : this.groups[slot]!
  }

  /** The first slot behind this one whose state or counts are others. */
  nextUnlike(slot: number): number {
    const { words, failures, length } = this
    const word = words[slot * WORDS + STATE]! & ~FLAGS
    let next = slot + 1
    while (next < length && (words[next * WORDS + STATE]! & ~FLAGS) === word) {
      if (failures !== null && failures[next] !== failures[slot]) break
      next++
    }
    return next
  }

  setDeliveries(slot: number, count: number): void {
    if (this.image !== null) this.image.save(this)
    const at = slot * WORDS + STATE
    const kept = this.words[at]! & ((1 << DELIVERIES_SHIFT) - 1)
    this.words[at] = kept | (Math.min(count, MOST_DELIVERIES) << DELIVERIES_SHIFT)
  }

  setFailures(slot: number, count: number): void {
    if (this.image !== null) this.image.save(this)
    if (this.failures === null) {
      if (count === 0) return
      this.failures = new Uint16Array(this.room)
    }
    this.failures[slot] = Math.min(count, 0xffff)
  }

  dueOf(slot: number): number {
    return this.dues === null ? 0 : this.dues[slot]!
  }

  /** The entry becomes ready again at `due`. */
  wait(slot: number, due: number): void {
    if (this.image !== null) this.image.save(this)
    this.dues ??= new Float64Array(this.room)
    this.dues[slot] = due
    this.setState(slot, WAITING)
  }

  /** Drops the arrays; the entries lie in `page`, but for the changes. */
  evict(page: number, changes: PageChanges | null = null): void {
    this.page = page
    this.changes = changes?.isEmpty ? null : changes
    this.resident = false
    this.clear()
  }

  /**
   * Remembers what the log says of an entry that may lie in this page. The counts are right again when it is loaded.
   */
  patch(patch: Patch): void {
    this.changes ??= new PageChanges()
    this.changes.add(patch)
  }

  /** Whether so many entries have gone as there are in the page; if all patches are of this chunk, nothing is left in it. */
  get isExhausted(): boolean {
    return this.changes?.exhausts(this.live) ?? false
  }

  /** Nothing is left of the entries that the page had. */
  abandon(): void {
    this.live = 0
    this.ready = 0
    this.liveBytes = 0
    this.changes = null
  }

  /** What has become of entries since the page was written; undefined for what no page and no list of changes can say. */
  changed(): PageChanges | undefined {
    if (!this.resident) return this.changes ?? PageChanges.none
    return this.page < 0 ? undefined : PageChanges.of(this)
  }

  /** The page is not needed any more. */
  leavePage(): void {
    this.page = -1
    this.fromEarlierRun = false
  }

  /** A chunk to read the page into beside this one. */
  beside(): Chunk {
    const other = new Chunk(this.number, this.priority)
    other.fromEarlierRun = this.fromEarlierRun
    other.changes = this.changes
    return other
  }

  /** Takes the entries back from the page; those that have gone since stand there as discarded. Answers the slots that wait. */
  restore(bytes: Uint8Array): number[] {
    if (this.image !== null) this.image.save(this)
    this.live = 0
    this.ready = 0
    this.liveBytes = 0
    this.resident = true
    this.loading = false
    return this.read(new OperationReader().reset(bytes, 0, bytes.length))
  }

  /**
   * entries := varint n,
   *   (varint lsnGap, varint size, u8 bits, [varint expiry], [varint deliveries, failures, due], [varint group])[n]
   */
  write(writer: ByteWriter): void {
    writer.putVarint(this.live)
    const { words, length } = this
    const mayBePlain = this.expiries === null && this.failures === null && this.groups === null
    let previous = 0
    for (let slot = 0; slot < length; slot++) {
      const word = words[slot * WORDS + STATE]!
      const state = word & STATE_MASK
      if (!isHeld(state)) continue
      const lsn = this.lsnOf(slot)
      // Most entries of most checkpoints: with a backlog in thousands of queues that are consumed there are millions of them.
      if (mayBePlain && state === READY && word >>> DELIVERIES_SHIFT === 0)
        writePlain(writer, lsn - previous, this.sizeOf(slot), (word >>> FLAGS_SHIFT) & FLAGS_MASK)
      else this.writeEntry(writer, slot, previous, state === WAITING ? this.dueOf(slot) : 0)
      previous = lsn
    }
  }

  /** Reads what `write` wrote, appending; then applies the changes. Answers the waiting entries. */
  read(reader: OperationReader): number[] {
    const count = reader.varint()
    if (count <= CHUNK_SLOTS && this.length === 0) this.resize(Math.max(count, INITIAL_SLOTS))
    let lsn = 0
    for (let i = 0; i < count && !reader.failed; i++) {
      lsn += reader.varint()
      const size = reader.varint()
      const bits = reader.byte()
      const expiry = bits & 16 ? reader.varint() : 0
      const deliveries = bits & 32 ? reader.varint() : 0
      const failures = bits & 32 ? reader.varint() : 0
      const due = bits & 32 ? reader.varint() : 0
      const group = bits & 64 ? reader.varint() : 0
      if (this.fromEarlierRun && bits & EntryFlag.memory) continue
      const slot = this.length
      this.append(lsn, size, expiry, bits & 3, group)
      if (bits & PENDING_BIT) this.setState(slot, StateCode.pending)
      else if (bits & PREPARED_BIT) this.setState(slot, StateCode.prepared)
      this.setDeliveries(slot, deliveries)
      this.setFailures(slot, failures)
      if (due > 0) this.wait(slot, due)
    }
    // A page has them still, when it is read again.
    if (this.page < 0) this.fromEarlierRun = false
    const { changes } = this
    this.changes = null
    changes?.apply(this)
    return this.waitingSlots()
  }

  /** What the log says of an entry: it has gone, or comes back with these counts. */
  applyPatch(slot: number, patch: Patch): void {
    if (patch.gone) {
      this.setState(slot, StateCode.discarded)
      return
    }
    this.setDeliveries(slot, patch.deliveries)
    this.setFailures(slot, patch.failures)
    if (patch.due > 0) this.wait(slot, patch.due)
    else this.setState(slot, READY)
  }

  forEachUndecided(visit: (size: number) => void): void {
    if (this.live === this.ready) return
    for (let slot = 0; slot < this.length; slot++)
      if (isUndecided(this.stateOf(slot))) visit(this.sizeOf(slot))
  }

  private waitingSlots(): number[] {
    const slots: number[] = []
    if (this.dues === null) return slots
    for (let slot = 0; slot < this.length; slot++) if (this.stateOf(slot) === WAITING) slots.push(slot)
    return slots
  }

  private writeEntry(writer: ByteWriter, slot: number, previous: number, due: number): void {
    const expiry = this.expiryOf(slot)
    const deliveries = this.deliveriesOf(slot)
    const failures = this.failuresOf(slot)
    const state = this.stateOf(slot)
    const undecided =
      state === StateCode.pending ? PENDING_BIT : state === StateCode.prepared ? PREPARED_BIT : 0
    const counted = deliveries > 0 || failures > 0 || due > 0
    writer.putVarint(this.lsnOf(slot) - previous)
    writer.putVarint(this.sizeOf(slot))
    const group = this.groupOf(slot)
    const extras = (expiry > 0 ? 16 : 0) | (counted ? 32 : 0) | (group > 0 ? 64 : 0)
    writer.putByte(this.flagsOf(slot) | undecided | extras)
    if (expiry > 0) writer.putVarint(expiry)
    if (counted) {
      writer.putVarint(deliveries)
      writer.putVarint(failures)
      writer.putVarint(due)
    }
    if (group > 0) writer.putVarint(group)
  }

  private setGroup(slot: number, group: number): void {
    this.groups ??= new Uint32Array(this.room)
    this.groups[slot] = group
  }

  private setExpiry(slot: number, expiry: number): void {
    this.expiries ??= new Float64Array(this.room)
    this.expiries[slot] = expiry
    if (expiry < this.minExpiry) this.minExpiry = expiry
  }

  /** Gives the memory back; for a chunk that holds nothing any more, or whose entries lie in a page. */
  clear(): void {
    this.words = none
    this.failures = null
    this.expiries = null
    this.dues = null
    this.groups = null
    this.length = 0
    this.scan = 0
  }

  /** Slots that there is room for. */
  private get room(): number {
    return this.words.length / WORDS
  }

  private resize(size: number): void {
    this.words = enlarged(this.words, new Uint32Array(size * WORDS))
    if (this.failures !== null) this.failures = enlarged(this.failures, new Uint16Array(size))
    if (this.expiries !== null) this.expiries = enlarged(this.expiries, new Float64Array(size))
    if (this.dues !== null) this.dues = enlarged(this.dues, new Float64Array(size))
    if (this.groups !== null) this.groups = enlarged(this.groups, new Uint32Array(size))
  }
}

function writePlain(writer: ByteWriter, gap: number, size: number, bits: number): void {
  writer.reserve(17)
  const { bytes } = writer
  let at = writeVarint(bytes, writer.length, gap)
  at = writeVarint(bytes, at, size)
  bytes[at] = bits
  writer.length = at + 1
}

/** Many queues have a chunk that is not full: what they have room for, and do not use, adds up. */
function nextSize(size: number): number {
  return size === 0 ? INITIAL_SLOTS : Math.min(CHUNK_SLOTS, size * 2)
}

function enlarged<T extends Float64Array | Uint32Array | Uint16Array>(from: T, to: T): T {
  to.set(from as never)
  return to
}
