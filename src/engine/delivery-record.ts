import { DEFAULT_EXCHANGE } from '../model/destination.ts'
import type { Delivery } from './api.ts'
import { isSentTo, OperationReader, PublishHead, readPublish } from './ports/operations.ts'
import type { Slice } from './ports/store.ts'

const reader = new OperationReader()
const head = new PublishHead()
const noChunks: readonly number[] = []

/** A delivery to be filled again and again (see ConnectionSink.deliver). */
export class DeliveryRecord implements Delivery {
  tag = 0
  lsn = 0
  queue = ''
  exchange = ''
  key = ''
  format = 0
  priority = 4
  publishedAt = 0
  expiry = 0
  deliveryCount = 1
  durable = true
  annotations = ''
  bytes: Uint8Array = new Uint8Array(0)
  start = 0
  end = 0
  size = 0
  chunks: readonly number[] = noChunks

  /** Takes everything that the stored publish operation says. False when its bytes do not fit the grammar. */
  read(slice: Slice, queue: string): boolean {
    if (!readPublish(reader.reset(slice.bytes, slice.start, slice.end), head)) return false
    this.queue = queue
    const direct = isSentTo(head, queue)
    this.exchange = direct ? DEFAULT_EXCHANGE : head.exchange
    this.key = direct ? queue : head.key
    this.format = head.format
    this.priority = head.priority
    this.publishedAt = head.publishedAt
    this.expiry = head.expiry
    this.annotations = head.annotations
    this.bytes = slice.bytes
    this.start = head.payloadStart
    this.end = head.payloadEnd
    this.size = head.size
    this.chunks = head.chunks.length > 0 ? head.chunks.slice() : noChunks
    return true
  }
}
