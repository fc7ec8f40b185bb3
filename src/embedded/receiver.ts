import type {
  Incoming,
  ProviderReceiver,
  ProviderSettlement,
  ProviderTransaction,
  ReceiverSink,
} from '../client/provider.ts'
import type { Delivery, Engine } from '../engine/api.ts'
import { fetchBody } from '../gateway/management/bodies.ts'
import { MillraceError } from '../model/errors.ts'
import { EmbeddedIncoming } from './incoming.ts'
import type { EmbeddedTransaction } from './transaction.ts'

/** What a receiver needs of its connection. */
export interface ReceiverHome {
  readonly engine: Engine
  /** A number for a settlement request, and the promise that it is durable. */
  request(): { readonly number: number; readonly durable: Promise<void> }
  forgetRequest(number: number): void
  left(receiver: EmbeddedReceiver): void
  report(error: MillraceError): void
}

/** Deliveries that wait for a body to be fetched in front of them, to keep the order. */
type Waiting = Incoming | { readonly tag: number; readonly body: Promise<Incoming | undefined> }

export class EmbeddedReceiver implements ProviderReceiver {
  readonly consumer: number
  private readonly home: ReceiverHome
  private readonly sink: ReceiverSink
  private readonly waiting: Waiting[] = []
  private fetching = false
  private forwarded: (() => void) | undefined
  private failure: MillraceError | undefined
  private closed = false

  constructor(home: ReceiverHome, consumer: number, sink: ReceiverSink) {
    this.home = home
    this.consumer = consumer
    this.sink = sink
  }

  grant(credit: number): void {
    if (this.closed || this.failure) return
    this.home.engine.grant(this.consumer, credit)
  }

  async drain(): Promise<number> {
    if (this.closed || this.failure) return 0
    const lapsed = await new Promise<number>((resolve) => this.home.engine.drain(this.consumer, resolve))
    while (this.waiting.length > 0) {
      await new Promise<void>((resolve) => {
        this.forwarded = resolve
      })
    }
    return lapsed
  }

  settle(
    ranges: readonly number[],
    settlement: ProviderSettlement,
    transaction?: ProviderTransaction,
  ): Promise<void> {
    if (this.failure) return Promise.reject(lost(this.failure))
    if (transaction) return this.enlist(ranges, settlement, transaction as EmbeddedTransaction)
    const { engine } = this.home
    const request = this.home.request()
    let expected = 0
    let settled = 0
    let final = 0
    for (let i = 0; i < ranges.length; i += 2) {
      const first = ranges[i]!
      const last = ranges[i + 1]!
      const number = i + 2 === ranges.length ? request.number : undefined
      final = engine.settle(this.consumer, first, last, settlement, number)
      expected += last - first + 1
      settled += final
    }
    if (settled === expected) return request.durable
    if (final > 0) {
      return request.durable.then(() => {
        throw lost()
      })
    }
    this.home.forgetRequest(request.number)
    return Promise.reject(lost())
  }

  private async enlist(
    ranges: readonly number[],
    settlement: ProviderSettlement,
    transaction: EmbeddedTransaction,
  ): Promise<void> {
    let missing = false
    for (let i = 0; i < ranges.length; i += 2) {
      const [first, last] = [ranges[i]!, ranges[i + 1]!]
      if (transaction.settle(this.consumer, first, last, settlement) < last - first + 1) missing = true
    }
    if (missing) throw lost()
  }

  async close(options: { readonly release: boolean }): Promise<void> {
    if (this.closed) return
    this.closed = true
    if (this.failure) return
    const { engine } = this.home
    engine.cancel(this.consumer, options)
    for (const { tag } of this.waiting) engine.settle(this.consumer, tag, tag, { outcome: 'released' })
    this.home.left(this)
  }

  /** Deliveries of the engine; their objects are not kept. */
  take(deliveries: readonly Delivery[], count: number): void {
    if (this.closed) return
    const ready: Incoming[] = new Array(count)
    let length = 0
    for (let i = 0; i < count; i++) {
      const delivery = deliveries[i]!
      if (delivery.chunks.length > 0) this.waiting.push({ tag: delivery.tag, body: this.fetch(delivery) })
      else {
        const incoming = new EmbeddedIncoming(
          delivery.tag,
          delivery,
          delivery.bytes,
          delivery.start,
          delivery.end,
        )
        if (this.waiting.length > 0) this.waiting.push(incoming)
        else ready[length++] = incoming
      }
    }
    if (length < count) ready.length = length
    if (length > 0) this.sink.deliver(ready)
    if (this.waiting.length > 0) void this.forward()
  }

  private fetch(delivery: Delivery): Promise<Incoming | undefined> {
    const kept = { ...delivery }
    return fetchBody(this.home.engine, kept).then((bytes) => {
      if (bytes) return new EmbeddedIncoming(kept.tag, kept, bytes, 0, bytes.length)
      this.damaged(kept)
      return undefined
    })
  }

  /** The rest of the body is in quarantine: it will not get better by being delivered again. */
  private damaged(delivery: Delivery): void {
    const description = `a part of the body of message ${delivery.lsn} in ${delivery.queue} is damaged`
    this.home.engine.settle(this.consumer, delivery.tag, delivery.tag, { outcome: 'rejected', description })
    // It has used up credit and is not handed over.
    this.grant(1)
    this.home.report(new MillraceError('message-damaged', description))
  }

  /** Hands over what waits, in order, as the bodies arrive. */
  private async forward(): Promise<void> {
    if (this.fetching) return
    this.fetching = true
    while (this.waiting.length > 0) {
      const first = this.waiting[0]!
      const incoming = 'body' in first ? await first.body : first
      this.waiting.shift()
      if (incoming && !this.closed) this.sink.deliver([incoming])
    }
    this.fetching = false
    this.forwarded?.()
  }

  revoked(tag: number): void {
    if (!this.closed && !this.failure) this.sink.revoked?.(tag)
  }

  /** The engine has ended the consumer, or cannot confirm anything any more. */
  end(error: MillraceError): void {
    if (this.closed || this.failure) return
    this.failure = error
    this.forwarded?.()
    this.sink.ended(error)
    this.home.left(this)
  }
}

function lost(cause?: MillraceError): MillraceError {
  return new MillraceError('delivery-settled', 'the broker does not hold the delivery any more', { cause })
}
