import type { Core } from '../core.ts'
import { EntryFlag } from '../index/chunk.ts'
import { OperationReader, PublishHead, readPublish } from '../ports/operations.ts'
import { Slice } from '../ports/store.ts'
import type { Queue } from '../queue.ts'
import { MessageValues } from '../selection-values.ts'

/** Messages asked for at once when they are not in memory. */
const LOAD_AHEAD = 256

/** A message that is to be looked into. */
export interface Entry {
  readonly position: number
  readonly lsn: number
  readonly flags: number
  readonly group: number
}

export interface Examination {
  readonly queue: Queue
  readonly entries: readonly Entry[]
  /** What selectors can ask; null for a message that is damaged, or gone meanwhile. */
  visit(entry: Entry, values: MessageValues | null): void
  done(): void
}

const nothing = new Uint8Array(0)

/** Looks into messages, in order, for what selectors ask; brings in those that are not in memory. */
export class Examiner {
  private readonly core: Core
  private readonly values = new MessageValues()
  private readonly reader = new OperationReader()
  private readonly head = new PublishHead()
  private readonly slice = new Slice()
  private readonly body = new Slice()

  constructor(core: Core) {
    this.core = core
  }

  /** Everything may happen within this call. */
  examine(examination: Examination, from = 0): void {
    const { entries } = examination
    for (let at = from; at < entries.length; at++) {
      const entry = entries[at]!
      if (!this.core.read(examination.queue, entry.lsn, entry.flags, this.slice)) {
        if (!(entry.flags & EntryFlag.memory)) return this.load(examination, at)
        examination.visit(entry, null)
      } else if (!this.look(examination, entry)) {
        return this.loadBeginning(examination, at)
      }
    }
    examination.done()
  }

  /** False when the first chunk of its body has to be loaded. */
  private look({ visit }: Examination, entry: Entry): boolean {
    if (!this.decode()) {
      visit(entry, null)
      return true
    }
    const [chunk] = this.head.chunks
    if (chunk === undefined) {
      visit(entry, this.valuesIn(entry.flags, this.slice.bytes))
      return true
    }
    if (!this.core.store.chunk(chunk, this.body)) return false
    visit(entry, this.valuesOfBody(entry.flags, this.body))
    return true
  }

  private decode(): boolean {
    const { bytes, start, end } = this.slice
    return readPublish(this.reader.reset(bytes, start, end), this.head)
  }

  private valuesIn(flags: number, bytes: Uint8Array): MessageValues {
    const { payloadStart, payloadEnd } = this.head
    return this.reset(flags, bytes, payloadStart, payloadEnd)
  }

  private valuesOfBody(flags: number, { bytes, start, end }: Slice): MessageValues {
    return this.reset(flags, bytes, start, end)
  }

  private reset(flags: number, bytes: Uint8Array, start: number, end: number): MessageValues {
    const durable = (flags & EntryFlag.memory) === 0
    return this.values.reset(this.core.contents, this.head, bytes, durable, start, end)
  }

  private load(examination: Examination, at: number): void {
    const { queue, entries } = examination
    const lsns: number[] = []
    for (let i = at; i < entries.length && lsns.length < LOAD_AHEAD; i++) {
      if (!(entries[i]!.flags & EntryFlag.memory)) lsns.push(entries[i]!.lsn)
    }
    this.core.load(queue.id, lsns, () => {
      const entry = entries[at]!
      const found = this.core.read(queue, entry.lsn, entry.flags, this.slice)
      if (found && !this.look(examination, entry)) return this.loadBeginning(examination, at)
      if (!found) examination.visit(entry, null)
      this.examine(examination, at + 1)
    })
  }

  /** The message itself may be gone from memory when the beginning of its body is there. */
  private loadBeginning(examination: Examination, at: number): void {
    const { bytes, start, end } = this.slice
    const chunk = this.head.chunks[0]!
    this.core.load(0, [chunk], () => {
      readPublish(this.reader.reset(bytes, start, end), this.head)
      const found = this.core.store.chunk(chunk, this.body)
      const { flags } = examination.entries[at]!
      const values = found ? this.valuesOfBody(flags, this.body) : this.reset(flags, nothing, 0, 0)
      examination.visit(examination.entries[at]!, values)
      this.examine(examination, at + 1)
    })
  }
}
