import type { BindingDefinition, ExchangeDefinition, QueueDefinition } from '../model/policy.ts'
import type { Core } from './core.ts'
import type { HalfMessages } from './half-messages.ts'
import { ChunkImage, readChunkImage } from './index/chunk-image.ts'
import type { Lane } from './index/lane.ts'
import { ByteWriter, OperationReader } from './ports/operations.ts'
import type { Queue } from './queue.ts'
import { RecoveredBindings } from './recovered-bindings.ts'
import type { RecoveredTransactions } from './recovered-transactions.ts'
import { createExchange } from './routing/exchange.ts'
import { ScheduleMemento } from './schedule/memento.ts'
import type { Schedule } from './schedule/schedule.ts'
import type { Settlements } from './settlements.ts'
import type { Transactions } from './transactions.ts'
import { transactionSections, writeHalves } from './undecided-sections.ts'
import { readValues, writeValues } from './value-sections.ts'

/**
 * The engine's sections of a checkpoint. Each says up to which LSN it is (`asOf`), because they are taken over several turns
 * while the engine goes on; replay skips, per section, what the section already contains.
 *
 * section   := u8 kind | varint asOf | …
 * topology  := 1 | asOf | text JSON { exchanges }
 * producers := 2 | asOf | varint n, (text id, varint handle, varint last, list missing)[n]
 * queue     := 3 | asOf | varint id | text JSON { definition, deleting, bindings, counts }
 * chunks    := 4 | asOf | varint queue | u8 priority | varint n, chunk[n]       (of a queue before it, in order; see ChunkImage)
 * seen      := 5 | asOf | varint queue | varint n, (text id, varint wall ms)[n]  (of a queue before it, oldest first)
 * undecided := 6 | asOf | see undecided-sections.ts
 * prepared  := 7 | asOf | see undecided-sections.ts
 * schedule  := 8 | asOf | see ScheduleMemento
 * values    := 9 | asOf | varint queue | values                           see value-sections.ts
 */
const SECTION = {
  topology: 1,
  producers: 2,
  queue: 3,
  chunks: 4,
  seen: 5,
  undecided: 6,
  prepared: 7,
  schedule: 8,
  values: 9,
} as const
/** Chunks of one lane in one section, and entries about: what is put into bytes in one step. */
const CHUNKS_A_SECTION = 2_000
const ENTRIES_A_SECTION = 16_384
/** Deduplication ids in one section. */
const IDS_A_SECTION = 20_000

/** The parts of the engine whose state a checkpoint contains, or that take it back. */
interface Parts {
  readonly settlements: Settlements
  readonly transactions: Transactions
  readonly halves: HalfMessages
  readonly recovered: RecoveredTransactions
  readonly schedule: Schedule
}

interface QueueFacts {
  readonly definition: QueueDefinition
  readonly deleting: boolean
  /** It has had messages of groups. */
  readonly grouped: boolean
  readonly bindings: readonly BindingDefinition[]
  readonly published: number
  readonly delivered: number
  readonly departed: Queue['departed']
  /** Messages of the schedule that are for it. */
  readonly scheduled: number
}

export class Snapshots {
  topologyAsOf = 0
  producersAsOf = 0
  readonly bindings: RecoveredBindings = new RecoveredBindings()
  readonly schedule: ScheduleMemento
  private readonly core: Core
  private readonly parts: Parts
  /** Where the last checkpoint of this run began. */
  private begun = 0

  constructor(core: Core, parts: Parts) {
    this.core = core
    this.parts = parts
    this.schedule = new ScheduleMemento(parts.schedule)
  }

  *take(): Generator<Uint8Array> {
    const before = this.begun
    this.begun = this.core.log.durable
    this.core.pager.settle(before)
    yield this.section(SECTION.topology, (writer) => {
      const exchanges = [...this.core.topology.exchanges.values()].map((exchange) => exchange.definition)
      writer.putText(JSON.stringify({ exchanges }))
    })
    yield this.section(SECTION.producers, (writer) => this.writeProducers(writer))
    // In one step: what is decided goes from the one into the other.
    const schedule = this.section(SECTION.schedule, (writer) => this.schedule.write(writer))
    // Taken before the queues, so that replay tells them all that is decided later; read after them, because it names them.
    const undecided = this.undecidedSections()
    yield schedule
    // Queues that come later are in the operations after the checkpoint's beginning.
    for (const queue of [...this.core.topology.byId.values()]) {
      if (this.core.topology.byId.get(queue.id) !== queue) continue
      yield* this.queueSections(queue, before)
    }
    yield* undecided
  }

  /**
   * A deep queue has many sections, all as of the same LSN, and the engine goes on between them. `before`: where the checkpoint
   * before this one began.
   */
  private *queueSections(queue: Queue, before: number): Generator<Uint8Array> {
    this.core.pager.settleLast(queue, before)
    const facts = this.section(SECTION.queue, (writer) => writeFacts(writer, queue))
    const asOf = this.core.log.lastLsn
    const images = imagesOf(queue)
    const last: Uint8Array[] = []
    for (const part of seenInParts(queue)) last.push(this.section(SECTION.seen, part))
    for (const part of valuesInParts(queue)) last.push(this.section(SECTION.values, part))
    try {
      yield facts
      for (const [priority, row] of images) {
        for (const part of chunksInParts(queue, priority, row)) yield encode(SECTION.chunks, asOf, part)
      }
    } finally {
      for (const row of images.values()) for (const image of row) image.forget()
    }
    yield* last
  }

  /** Pages that the indexes name. */
  *pages(): Generator<number> {
    for (const queue of this.core.topology.byId.values()) {
      for (const lane of queue.urgentFirst()) for (const { page } of lane.living()) if (page >= 0) yield page
    }
    yield* this.parts.schedule.index.namedPages()
  }

  private undecidedSections(): Uint8Array[] {
    const { transactions, halves } = this.parts
    const sections = transactionSections(transactions.all()).map((write) =>
      this.section(SECTION.undecided, write),
    )
    sections.push(this.section(SECTION.prepared, (writer) => writeHalves(writer, [...halves.entries()])))
    return sections
  }

  restore(section: Uint8Array): void {
    const reader = new OperationReader().reset(section, 0, section.length)
    const kind = reader.byte()
    const asOf = reader.varint()
    if (kind === SECTION.topology) {
      this.topologyAsOf = asOf
      const { exchanges } = JSON.parse(reader.text()) as { exchanges: ExchangeDefinition[] }
      for (const definition of exchanges) {
        if (!this.core.topology.exchanges.has(definition.name)) {
          this.core.topology.exchanges.set(definition.name, createExchange(definition))
        }
      }
    } else if (kind === SECTION.producers) {
      this.producersAsOf = asOf
      this.readProducers(reader)
    } else if (kind === SECTION.schedule) {
      this.schedule.asOf = asOf
      this.schedule.read(reader)
    } else if (kind === SECTION.queue) {
      this.readQueue(reader, asOf)
    } else if (kind === SECTION.chunks) {
      this.readChunks(reader)
    } else if (kind === SECTION.seen) {
      this.readSeen(reader)
    } else if (kind === SECTION.values) {
      this.readValues(reader)
    } else if (kind === SECTION.undecided) {
      this.parts.recovered.readTransactions(reader)
    } else if (kind === SECTION.prepared) {
      this.parts.recovered.readHalves(reader, asOf)
    }
  }

  private section(kind: number, write: (writer: ByteWriter) => void): Uint8Array {
    // Everything the section says must have been committed before it.
    this.core.commit()
    return encode(kind, this.core.log.lastLsn, write)
  }

  private writeProducers(writer: ByteWriter): void {
    const producers = [...this.core.producers.entries()]
    writer.putVarint(producers.length)
    for (const { id, handle, last, missing } of producers) {
      writer.putText(id)
      writer.putVarint(handle)
      writer.putVarint(last)
      writer.putList(missing)
    }
  }

  private readProducers(reader: OperationReader): void {
    const count = reader.varint()
    const now = this.core.wall()
    for (let i = 0; i < count && !reader.failed; i++) {
      const id = reader.text()
      const handle = reader.varint()
      const last = reader.varint()
      const missing: number[] = []
      for (let left = reader.varint(); left > 0 && !reader.failed; left--) missing.push(reader.varint())
      this.core.producers.restore({ id, handle, last, missing }, now)
    }
  }

  private readQueue(reader: OperationReader, asOf: number): void {
    const id = reader.varint()
    const facts = JSON.parse(reader.text()) as QueueFacts
    const { topology } = this.core
    const queue = topology.addQueue(id, facts.definition)
    queue.asOf = asOf
    queue.published = facts.published
    queue.delivered = facts.delivered
    queue.scheduledMessages = facts.scheduled
    Object.assign(queue.departed, facts.departed)
    if (facts.grouped) this.core.grouped(queue)
    this.bindings.restore(queue, facts.bindings)
    if (facts.deleting) topology.detach(queue)
  }

  private readSeen(reader: OperationReader): void {
    const seen = this.core.topology.byId.get(reader.varint())?.seen
    for (let left = reader.varint(); left > 0 && !reader.failed; left--) {
      const id = reader.text()
      seen?.add(id, false, reader.varint())
    }
  }

  private readValues(reader: OperationReader): void {
    const queue = this.core.topology.byId.get(reader.varint())
    if (queue === undefined || queue.values === null) return
    readValues(reader, (value) => this.parts.settlements.replacement.restore(queue, value))
  }

  private readChunks(reader: OperationReader): void {
    const queue = this.core.topology.byId.get(reader.varint())
    const priority = reader.byte()
    if (queue === undefined || reader.failed) return
    const lane = queue.lane(priority)
    for (let left = reader.varint(); left > 0 && !reader.failed; left--) this.readChunk(reader, queue, lane)
  }

  private readChunk(reader: OperationReader, queue: Queue, lane: Lane): void {
    const chunk = lane.newChunk()
    chunk.fromEarlierRun = true
    const waiting = readChunkImage(reader, chunk)
    lane.restore(chunk)
    chunk.forEachUndecided((size) => queue.countUndecided(1, size))
    this.parts.settlements.foundWaiting(queue, lane, chunk, waiting)
  }
}

function encode(kind: number, asOf: number, write: (writer: ByteWriter) => void): Uint8Array {
  const writer = new ByteWriter()
  writer.putByte(kind)
  writer.putVarint(asOf)
  write(writer)
  return writer.bytes.subarray(0, writer.length)
}

/** The queue that a section describes; undefined for a section of another kind. */
export function queueOfSection(section: Uint8Array): { id: number; name: string } | undefined {
  const reader = new OperationReader().reset(section, 0, section.length)
  if (reader.byte() !== SECTION.queue) return undefined
  reader.varint()
  const id = reader.varint()
  return { id, name: (JSON.parse(reader.text()) as QueueFacts).definition.name }
}

/** Up to which LSN a section contains the topology; undefined for a section of another kind. */
export function topologyOfSection(section: Uint8Array): number | undefined {
  const reader = new OperationReader().reset(section, 0, section.length)
  return reader.byte() === SECTION.topology ? reader.varint() : undefined
}

function writeFacts(writer: ByteWriter, queue: Queue): void {
  const { definition, deleting, published, delivered, departed, scheduledMessages: scheduled } = queue
  const bindings = [...queue.bindings].map((binding) => binding.definition)
  const grouped = queue.groups !== null
  const facts: QueueFacts = {
    definition,
    deleting,
    grouped,
    bindings,
    published,
    delivered,
    departed,
    scheduled,
  }
  writer.putVarint(queue.id)
  writer.putText(JSON.stringify(facts))
}

/** By priority. */
function imagesOf(queue: Queue): Map<number, ChunkImage[]> {
  const images = new Map<number, ChunkImage[]>()
  for (const lane of queue.urgentFirst()) {
    images.set(
      lane.priority,
      [...lane.living()].map((chunk) => new ChunkImage(chunk)),
    )
  }
  return images
}

function* chunksInParts(
  queue: Queue,
  priority: number,
  images: readonly ChunkImage[],
): Generator<(writer: ByteWriter) => void> {
  for (let from = 0; from < images.length; ) {
    let to = from
    for (let entries = 0; to < images.length && to - from < CHUNKS_A_SECTION; to++) {
      entries += images[to]!.entries
      if (entries > ENTRIES_A_SECTION && to > from) break
    }
    const part = images.slice(from, to)
    yield (writer) => {
      writer.putVarint(queue.id)
      writer.putByte(priority)
      writer.putVarint(part.length)
      for (const image of part) image.take(writer)
    }
    from = to
  }
}

function* seenInParts(queue: Queue): Generator<(writer: ByteWriter) => void> {
  const entries = queue.seen === null ? [] : [...queue.seen.entries()]
  for (let from = 0; from < entries.length; from += IDS_A_SECTION) {
    const part = entries.slice(from, from + IDS_A_SECTION)
    yield (writer) => {
      writer.putVarint(queue.id)
      writer.putVarint(part.length)
      for (const [id, at] of part) {
        writer.putText(id)
        writer.putVarint(at)
      }
    }
  }
}

function* valuesInParts(queue: Queue): Generator<(writer: ByteWriter) => void> {
  const values = queue.values?.entries() ?? []
  for (let from = 0; from < values.length; from += IDS_A_SECTION) {
    const part = values.slice(from, from + IDS_A_SECTION)
    yield (writer) => {
      writer.putVarint(queue.id)
      writeValues(writer, part)
    }
  }
}
