import { assert } from '../model/errors.ts'
import type { Publication } from './api.ts'
import type { Connection } from './connection.ts'
import type { Core } from './core.ts'
import { OperationType, PublishFlag, type PublishHead } from './ports/operations.ts'
import { departures } from './ports/settle-operation.ts'
import { Slice, type Store } from './ports/store.ts'

interface Body {
  readonly connection: Connection
  readonly chunks: number[]
  /** The first bytes, where its headers and properties are: routing looks at them. */
  beginning: Uint8Array
  /** Room for a chunk, when something has come, and how many bytes of one have. */
  rest: Buffer
  filled: number
  size: number
}

const BEGINNING_BYTES = 64 * 1024
/** Memory of chunks that is kept for other bodies: allocating it costs more than filling it. */
const SPARE_CHUNKS = 8
const nothing = new Uint8Array(0)
const none: Buffer = Buffer.alloc(0)

/**
 * Payloads too large for one operation, as chunks: journalled as they arrive and invisible until the publish operation that
 * lists them, so that memory does not follow their size.
 */
export class Bodies {
  private readonly core: Core
  private readonly open = new Map<number, Body>()
  private readonly spare: Buffer[] = []
  private nextId = 1

  constructor(core: Core) {
    this.core = core
  }

  start(connection: Connection): number {
    const id = this.nextId++
    this.open.set(id, { connection, chunks: [], beginning: nothing, rest: none, filled: 0, size: 0 })
    connection.bodies ??= new Set()
    connection.bodies.add(id)
    return id
  }

  append(id: number, bytes: Uint8Array): void {
    const body = this.find(id)
    const { chunkBytes } = this.core.options
    body.size += bytes.length
    const missing = BEGINNING_BYTES - body.beginning.length
    if (missing > 0) body.beginning = Buffer.concat([body.beginning, bytes.subarray(0, missing)])
    for (let at = 0; at < bytes.length; ) {
      const end = Math.min(bytes.length, at + chunkBytes - body.filled)
      if (end - at === chunkBytes) body.chunks.push(this.writeChunk(bytes.subarray(at, end)))
      else this.gather(body, bytes.subarray(at, end))
      at = end
    }
  }

  /** The caller's buffer is its own again after `append`. */
  private gather(body: Body, bytes: Uint8Array): void {
    const { chunkBytes } = this.core.options
    if (body.rest.length === 0) body.rest = this.spare.pop() ?? Buffer.allocUnsafeSlow(chunkBytes)
    body.rest.set(bytes, body.filled)
    body.filled += bytes.length
    if (body.filled === chunkBytes) this.writeRest(body)
  }

  private writeRest(body: Body): void {
    body.chunks.push(this.writeChunk(body.rest.subarray(0, body.filled)))
    body.filled = 0
  }

  sizeOf(id: number): number {
    return this.find(id).size
  }

  beginningOf(id: number): Uint8Array {
    return this.find(id).beginning
  }

  abort(id: number): void {
    const body = this.open.get(id)
    if (body === undefined) return
    this.forget(id, body)
    if (body.chunks.length > 0) this.giveUp(body.chunks)
  }

  /** The payload to be written in the publish operation itself; a large one is in chunks that `head` now lists. */
  take(publication: Publication, head: PublishHead): Uint8Array {
    const { payload } = publication
    if (publication.body === undefined) {
      if (payload.length <= this.core.options.chunkBytes) return payload
      return this.split(payload, head)
    }
    const body = this.find(publication.body)
    if (body.filled > 0) this.writeRest(body)
    this.forget(publication.body, body)
    this.list(head, body.chunks)
    return nothing
  }

  private split(payload: Uint8Array, head: PublishHead): Uint8Array {
    const { chunkBytes } = this.core.options
    const chunks: number[] = []
    for (let at = 0; at < payload.length; at += chunkBytes) {
      chunks.push(this.writeChunk(payload.subarray(at, at + chunkBytes)))
    }
    this.list(head, chunks)
    return nothing
  }

  private list(head: PublishHead, chunks: readonly number[]): void {
    head.flags |= PublishFlag.chunked
    head.chunks = chunks
  }

  private writeChunk(bytes: Uint8Array): number {
    const { log } = this.core
    log.begin(OperationType.chunk).putBytes(bytes)
    log.end()
    this.core.schedule()
    return log.lastOperation
  }

  private giveUp(chunks: readonly number[]): void {
    const batch = this.core.log.begin(OperationType.settle)
    batch.putVarint(0)
    batch.putByte(departures.indexOf('dropped'))
    batch.putVarint(chunks.length)
    let end = 0
    for (const lsn of chunks) {
      batch.putVarint(lsn - end)
      batch.putVarint(1)
      end = lsn + 1
    }
    this.core.log.end()
    this.core.schedule()
  }

  private forget(id: number, body: Body): void {
    this.open.delete(id)
    body.connection.bodies?.delete(id)
    if (body.rest.length > 0 && this.spare.length < SPARE_CHUNKS) this.spare.push(body.rest)
  }

  private find(id: number): Body {
    const body = this.open.get(id)
    assert(body !== undefined, 'a body is appended to and published once, by its own connection')
    return body
  }
}

/** Calls back with a chunk, at once when it is in memory, otherwise when loaded; with null when it is damaged. */
export function readChunk(store: Store, lsn: number, done: (bytes: Uint8Array | null) => void): void {
  const slice = new Slice()
  const answer = (): boolean => {
    if (!store.chunk(lsn, slice)) return false
    done(slice.bytes.subarray(slice.start, slice.end))
    return true
  }
  if (answer()) return
  store.load(0, [lsn], (damaged) => {
    if (damaged.length > 0 || !answer()) done(null)
  })
}
