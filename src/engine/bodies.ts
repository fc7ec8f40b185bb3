import type { Slice } from './ports/store.ts'

interface Volatile {
  readonly bytes: Uint8Array
  holders: number
}

/** Messages of level 'memory': their publish operations, kept here and nowhere else, within a bound. */
export class VolatileMessages {
  bytes = 0
  private readonly limit: number
  private readonly messages = new Map<number, Volatile>()

  constructor(limit: number) {
    this.limit = limit
  }

  hasRoomFor(size: number): boolean {
    return this.bytes + size <= this.limit
  }

  add(lsn: number, bytes: Uint8Array, holders: number): void {
    this.messages.set(lsn, { bytes, holders })
    this.bytes += bytes.length
  }

  read(lsn: number, into: Slice): boolean {
    const message = this.messages.get(lsn)
    if (message === undefined) return false
    into.bytes = message.bytes
    into.start = 0
    into.end = message.bytes.length
    return true
  }

  /** One of the queues that held the message has let it go. */
  release(lsn: number): void {
    const message = this.messages.get(lsn)
    if (message === undefined || --message.holders > 0) return
    this.messages.delete(lsn)
    this.bytes -= message.bytes.length
  }
}
