import { randomUUID } from 'node:crypto'
import type { Destination } from '../../model/destination.ts'
import { MillraceError } from '../../model/errors.ts'
import type { ReceiverEvents, TransferPart } from '../../wire/amqp10/peer/events.ts'
import { type AmqpError, type Attach, accepted, type Source } from '../../wire/amqp10/peer/performatives.ts'
import type { ReceiverLink } from '../../wire/amqp10/peer/receiver-link.ts'
import type { BrowsedPage } from '../provider.ts'
import { fromAmqp, lost } from './errors.ts'
import { filterOf, unappliedFilter } from './filters.ts'
import { AmqpBrowsed } from './incoming.ts'
import { OUTCOMES, type Sessions, source, target } from './sessions.ts'

/** Links of browsers that somebody may go on with; the oldest gives way. */
const MOST_OPEN = 16

/** Browsing at brokers that know no pages: a link of distribution mode copy for each browser, a page by its credit. */
export class CopyBrowser {
  private readonly home: { readonly sessions: Sessions | undefined }
  private readonly open: Map<string, CopyLink> = new Map()

  constructor(home: { readonly sessions: Sessions | undefined }) {
    this.home = home
  }

  /** `after` is the name of the link that the page before came over. Rejects with `illegal-state` when that is gone. */
  async browse(
    queue: string,
    after: string | undefined,
    limit: number,
    selector: string | undefined,
  ): Promise<BrowsedPage> {
    const name = after ?? `browser-${randomUUID()}`
    const link =
      after === undefined ? new CopyLink(this.home.sessions!, queue, name, selector) : this.open.get(after)
    if (!link) throw new MillraceError('illegal-state', 'the browser was given up, or lost its connection')
    this.open.delete(name)
    const { messages, more } = await link.page(limit)
    if (!more) link.close()
    else this.keep(name, link)
    return { messages, next: more ? name : undefined }
  }

  private keep(name: string, link: CopyLink): void {
    this.open.set(name, link)
    for (const [oldest, unused] of this.open) {
      if (this.open.size <= MOST_OPEN) return
      this.open.delete(oldest)
      unused.close()
    }
  }
}

class CopyLink implements ReceiverEvents {
  private readonly link: ReceiverLink
  private readonly sessions: Sessions
  private readonly source: Destination
  private readonly filter: Source['filter']
  private readonly attaching: PromiseWithResolvers<void> = Promise.withResolvers()
  private ended: Error | undefined
  private messages: AmqpBrowsed[] = []
  private parts: Buffer[] = []
  private drain: PromiseWithResolvers<number> | undefined

  constructor(sessions: Sessions, queue: string, name: string, selector: string | undefined) {
    this.sessions = sessions
    this.source = { kind: 'queue', name: queue }
    this.attaching.promise.catch(() => {})
    this.filter = filterOf({ selector })
    const terminus = source({
      address: queue,
      distributionMode: 'copy',
      capabilities: ['queue'],
      filter: this.filter,
      outcomes: OUTCOMES,
    })
    this.link = sessions.attachReceiver(
      { name, sndSettleMode: 'settled', source: terminus, target: target({}) },
      this,
    )
  }

  /** Up to `limit` messages, and whether there may be more. */
  async page(limit: number): Promise<{ messages: AmqpBrowsed[]; more: boolean }> {
    await this.attaching.promise
    if (this.ended) throw this.ended
    this.drain = Promise.withResolvers()
    this.link.grant(limit)
    this.link.drain()
    const lapsed = await this.drain.promise
    const { messages } = this
    this.messages = []
    return { messages, more: lapsed === 0 }
  }

  close(): void {
    if (this.ended) return
    this.link.detach(true)
    this.sessions.release(this.link)
  }

  attached(attach: Attach): void {
    if (attach.source === null) return
    const unapplied = unappliedFilter(this.filter, attach)
    if (unapplied === undefined) return this.attaching.resolve()
    this.close()
    this.ended = unapplied
    this.attaching.reject(unapplied)
  }

  transfer(part: TransferPart): void {
    this.parts.push(Buffer.from(part.bytes.subarray(part.start, part.end)))
    if (part.aborted) this.parts = []
    if (part.more || part.aborted) return
    const bytes = Buffer.concat(this.parts)
    this.parts = []
    if (!part.settled) this.link.settle(part.id, part.id, accepted)
    this.messages.push(new AmqpBrowsed('ready', this.source, Date.now(), bytes))
  }

  drained(lapsed: number): void {
    this.drain?.resolve(lapsed)
  }

  detached(_closed: boolean, error: AmqpError | undefined): void {
    this.ended = error ? fromAmqp(error, 'illegal-state') : lost(undefined)
    this.attaching.reject(this.ended)
    this.drain?.reject(this.ended)
  }
}
