import { isHeld, isUndecided, StateCode } from '../lifecycle.ts'
import type { ByteWriter, OperationReader } from '../ports/operations.ts'
import type { Chunk } from './chunk.ts'

/** Of more than these it is better to write the entries anew. */
const MOST_CHANGES = 32

/** What became of an entry: it has gone, or comes back with these counts, ready at once or when it is `due`. */
export interface Patch {
  readonly lsn: number
  readonly gone: boolean
  readonly deliveries: number
  readonly failures: number
  /** Wall milliseconds; 0 for at once. */
  readonly due: number
}

/** The same for all entries of a chunk from `lsn` to `last`. */
interface Change extends Patch {
  last: number
}

/** What has become of the entries of a page since it was written, remembered until the page is loaded. */
export class PageChanges {
  /** Not to be added to. */
  static readonly none: PageChanges = new PageChanges()
  private readonly changes: Change[] = []
  /** LSNs of entries that have gone, one by one: what replay finds most. */
  private readonly gone: number[] = []

  add(patch: Patch): void {
    if (patch.gone) this.gone.push(patch.lsn)
    else this.changes.push({ ...patch, last: patch.lsn })
  }

  get isEmpty(): boolean {
    return this.changes.length + this.gone.length === 0
  }

  /** Whether so many entries have gone one by one; if all of them are of this page, nothing more is left in it. */
  exhausts(count: number): boolean {
    return this.gone.length === count && new Set(this.gone).size === count
  }

  /** Applies them to the entries as the page has them. */
  apply(chunk: Chunk): void {
    for (const change of this.changes) {
      let slot = chunk.slotFrom(change.lsn)
      for (; slot < chunk.length && chunk.lsnOf(slot) <= change.last; slot++)
        if (isHeld(chunk.stateOf(slot))) chunk.applyPatch(slot, change)
    }
    for (const lsn of this.gone) {
      const slot = chunk.find(lsn)
      if (slot >= 0 && isHeld(chunk.stateOf(slot))) chunk.setState(slot, StateCode.discarded)
    }
  }

  /** changes := varint n, (varint lsn, varint last - lsn, u8 gone, varint deliveries, failures, due)[n] */
  write(writer: ByteWriter): void {
    writer.putVarint(this.changes.length + this.gone.length)
    for (const change of this.changes) writeChange(writer, change)
    for (const lsn of this.gone) writeChange(writer, goneOf(lsn))
  }

  /**
   * Of a chunk in memory that has a page; undefined when it has changed too much, or so that it must be known before the page is
   * loaded.
   */
  static of(chunk: Chunk): PageChanges | undefined {
    const made = new PageChanges()
    const { changes } = made
    // Entries one after the other that share a fate are one change, whatever lies between their LSNs.
    let isOpen = false
    for (let slot = 0, next: number; slot < chunk.length; slot = next) {
      next = chunk.nextUnlike(slot)
      const state = chunk.stateOf(slot)
      if (state === StateCode.waiting || isUndecided(state)) return undefined
      const gone = !isHeld(state)
      const deliveries = gone ? 0 : chunk.deliveriesOf(slot)
      const failures = gone ? 0 : chunk.failuresOf(slot)
      const wasOpen = isOpen
      isOpen = gone || deliveries > 0 || failures > 0
      if (!isOpen) continue
      const last = chunk.lsnOf(next - 1)
      const before = changes.at(-1)
      if (
        wasOpen &&
        before!.gone === gone &&
        before!.deliveries === deliveries &&
        before!.failures === failures
      ) {
        before!.last = last
        continue
      }
      if (changes.length === MOST_CHANGES) return undefined
      changes.push({ lsn: chunk.lsnOf(slot), last, gone, deliveries, failures, due: 0 })
    }
    return made
  }

  static read(reader: OperationReader): PageChanges {
    const made = new PageChanges()
    const count = reader.varint()
    for (let i = 0; i < count && !reader.failed; i++) {
      const lsn = reader.varint()
      const last = lsn + reader.varint()
      const gone = reader.byte() === 1
      const change = {
        lsn,
        last,
        gone,
        deliveries: reader.varint(),
        failures: reader.varint(),
        due: reader.varint(),
      }
      if (!reader.failed) made.changes.push(change)
    }
    return made
  }
}

function goneOf(lsn: number): Change {
  return { lsn, last: lsn, gone: true, deliveries: 0, failures: 0, due: 0 }
}

function writeChange(writer: ByteWriter, { lsn, last, gone, deliveries, failures, due }: Change): void {
  writer.putVarint(lsn)
  writer.putVarint(last - lsn)
  writer.putByte(gone ? 1 : 0)
  writer.putVarint(deliveries)
  writer.putVarint(failures)
  writer.putVarint(due)
}
