import type { OperationReader } from '../engine/ports/operations.ts'
import { PublishFlag, readList } from '../engine/ports/operations.ts'

const noChunks: readonly number[] = []

/** What a store must know of a publish operation, without decoding texts: who holds it and what it takes along. */
export class PublishFacts {
  queues = 0
  firstQueue = 0
  replacedLsn = 0
  chunks: readonly number[] = noChunks
  /** Set before reading to learn whether this queue is among those that hold the message. */
  sought = 0
  isHeldBySought = false

  /** Reads the body under `reader`. False when the bytes do not fit the grammar. */
  read(reader: OperationReader): boolean {
    const flags = reader.varint()
    // Priority, format and time are passed over by hand: this is done for every message.
    reader.at = afterVarint(reader.bytes, afterVarint(reader.bytes, reader.at + 1))
    this.queues = reader.varint()
    this.firstQueue = 0
    this.isHeldBySought = false
    this.replacedLsn = 0
    this.chunks = noChunks
    if (this.queues > reader.end - reader.at) reader.failed = true
    for (let i = 0; i < this.queues && !reader.failed; i++) {
      const queue = reader.varint()
      if (i === 0) this.firstQueue = queue
      if (queue === this.sought) this.isHeldBySought = true
    }
    if (flags & (PublishFlag.replaces | PublishFlag.chunked)) this.readTail(flags, reader)
    return !reader.failed
  }

  private readTail(flags: number, reader: OperationReader): void {
    if (flags & PublishFlag.expires) reader.varint()
    if (flags & PublishFlag.due) {
      reader.varint()
      for (let left = reader.varint(); left > 0 && !reader.failed; left--) reader.varint()
    }
    if (flags & PublishFlag.producer) {
      reader.varint()
      reader.varint()
    }
    if (flags & PublishFlag.replaces) {
      reader.varint()
      this.replacedLsn = reader.varint()
    }
    if (!(flags & PublishFlag.chunked)) return
    if (flags & PublishFlag.transacted) reader.varint()
    if (flags & PublishFlag.prepared) reader.skip(reader.varint())
    if (flags & PublishFlag.grouped) reader.skip(reader.varint())
    if (flags & PublishFlag.deduplicated) reader.skip(reader.varint())
    if (flags & PublishFlag.repeating) reader.skip(reader.varint())
    if (flags & PublishFlag.keyed) skipKeys(reader)
    if (!(flags & PublishFlag.direct)) {
      reader.skip(reader.varint())
      reader.skip(reader.varint())
    }
    if (flags & PublishFlag.composite) reader.skip(reader.varint())
    if (flags & PublishFlag.annotated) reader.skip(reader.varint())
    reader.varint()
    this.chunks = readList(reader)
  }
}

function skipKeys(reader: OperationReader): void {
  for (let left = reader.varint(); left > 0 && !reader.failed; left--) {
    reader.varint()
    reader.skip(reader.varint())
  }
}

/** Where the varint at `at` ends; behind the bytes when they end before it. */
function afterVarint(bytes: Uint8Array, at: number): number {
  while (bytes[at]! >= 0x80) at++
  return at + 1
}
