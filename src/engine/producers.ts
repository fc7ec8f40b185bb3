/** What is known of one producer identity. */
interface Producer {
  readonly id: string
  readonly handle: number
  /** Highest sequence stored. */
  last: number
  /** Sequences below `last` that were never stored: refused, held, or lost on the way. */
  missing: Set<number> | null
  usedAt: number
}

/** A producer that leaves more holes than this has its oldest ones taken as stored. */
const MAX_MISSING = 10_000

/**
 * Producer identities (DESIGN §3): a resend of (producer, sequence) is stored once. The cost grows with producers, not with
 * messages: a high-water mark, and the holes below it. Without the holes, a sequence that was refused while a later one was
 * accepted would be taken for a duplicate when it is resent, and lost.
 */
export class Producers {
  private readonly limit: number
  private readonly byId = new Map<string, Producer>()
  private readonly byHandle = new Map<number, Producer>()
  /** Who was asked for last is mostly asked for next. */
  private recent: Producer | undefined
  private nextHandle = 1

  constructor(limit: number) {
    this.limit = limit
  }

  find(id: string): { handle: number; last: number } | undefined {
    return this.byId.get(id)
  }

  has(handle: number): boolean {
    return this.byHandle.has(handle)
  }

  /** A new identity; the longest unused one is forgotten when there are too many. */
  add(id: string, handle: number, now: number): void {
    if (this.byId.size >= this.limit) this.forgetOldest()
    const producer: Producer = { id, handle, last: 0, missing: null, usedAt: now }
    this.byId.set(id, producer)
    this.byHandle.set(handle, producer)
    if (handle >= this.nextHandle) this.nextHandle = handle + 1
  }

  newHandle(): number {
    return this.nextHandle
  }

  isDuplicate(handle: number, sequence: number): boolean {
    const producer = this.of(handle)
    if (producer === undefined || sequence > producer.last) return false
    return !producer.missing?.has(sequence)
  }

  /** The message was stored. */
  stored(handle: number, sequence: number, now: number): void {
    const producer = this.of(handle)
    if (producer === undefined) return
    producer.usedAt = now
    if (sequence <= producer.last) {
      producer.missing?.delete(sequence)
      return
    }
    if (sequence > producer.last + 1) this.addMissing(producer, sequence)
    producer.last = sequence
  }

  *entries(): Generator<{ id: string; handle: number; last: number; missing: number[] }> {
    for (const { id, handle, last, missing } of this.byId.values()) {
      yield { id, handle, last, missing: missing === null ? [] : [...missing] }
    }
  }

  restore(entry: { id: string; handle: number; last: number; missing: number[] }, now: number): void {
    this.add(entry.id, entry.handle, now)
    const producer = this.byHandle.get(entry.handle)!
    producer.last = entry.last
    if (entry.missing.length > 0) producer.missing = new Set(entry.missing)
  }

  private of(handle: number): Producer | undefined {
    if (this.recent?.handle !== handle) this.recent = this.byHandle.get(handle)
    return this.recent
  }

  private addMissing(producer: Producer, sequence: number): void {
    producer.missing ??= new Set()
    const from = Math.max(producer.last + 1, sequence - MAX_MISSING)
    for (let hole = from; hole < sequence; hole++) producer.missing.add(hole)
    for (const hole of producer.missing) {
      if (producer.missing.size <= MAX_MISSING) break
      producer.missing.delete(hole)
    }
  }

  private forgetOldest(): void {
    let oldest: Producer | undefined
    for (const producer of this.byId.values()) {
      if (oldest === undefined || producer.usedAt < oldest.usedAt) oldest = producer
    }
    if (oldest === undefined) return
    this.byId.delete(oldest.id)
    this.byHandle.delete(oldest.handle)
    if (this.recent === oldest) this.recent = undefined
  }
}
