import type { BrowsedMessage, BrowsePage } from '../../engine/api.ts'
import { isMillraceError } from '../../model/errors.ts'
import type { SenderEvents } from '../../wire/amqp10/peer/events.ts'
import type { Attach, DeliveryState } from '../../wire/amqp10/peer/performatives.ts'
import type { SenderLink } from '../../wire/amqp10/peer/sender-link.ts'
import { ChunkedDelivery } from './chunked-delivery.ts'
import type { AmqpConnection } from './connection.ts'
import { DeliveryPrefix } from './delivery-prefix.ts'
import { amqpError } from './errors.ts'
import { MILLRACE } from './opening.ts'
import type { Waiting } from './outlet.ts'

/** Messages looked at in one go. */
const PAGE = 64

/**
 * A link whose distribution mode is copy: what the queue holds, in its order, taken by nobody whatever the receiver answers.
 * At the end of the queue a drain is answered; what comes later is for another browser.
 */
export class BrowsingLink implements SenderEvents, Waiting {
  private readonly connection: AmqpConnection
  private readonly link: SenderLink
  private readonly queue: string
  private readonly selector: string | undefined
  private readonly presettled: boolean
  private readonly prefix: DeliveryPrefix
  private readonly page: BrowsedMessage[] = []
  private large: ChunkedDelivery | undefined
  /** Where the next page begins; undefined at the end. */
  private position: string | undefined = ''
  private asking = false
  private over = false

  constructor(
    connection: AmqpConnection,
    link: SenderLink,
    attach: Attach,
    from: { readonly queue: string; readonly selector: string | undefined },
  ) {
    this.connection = connection
    this.link = link
    this.queue = from.queue
    this.selector = from.selector
    this.presettled = attach.sndSettleMode === 'settled'
    this.prefix = new DeliveryPrefix(attach.desiredCapabilities.includes(MILLRACE))
    // A queue that does not exist is said at once.
    connection.engine.browse(this.queue, '', 0, () => {})
    connection.links++
  }

  flow(): void {
    this.connection.guard(() => this.pump())
  }

  pump(): void {
    const { link, page, connection } = this
    if (this.large) return this.large.resume()
    while (!this.over && page.length > 0 && link.credit > 0) {
      if (!this.flows()) return connection.outlet.wait(this)
      this.send(page.shift()!)
      if (this.large) return
    }
    if (this.over || this.asking || page.length > 0) return
    if (this.position === undefined) {
      if (link.draining) link.drained()
    } else if (link.credit > 0) this.ask(this.position)
  }

  private flows(): boolean {
    return this.connection.outlet.flows && !this.link.session.congested
  }

  private ask(from: string): void {
    this.asking = true
    try {
      const take = (page: BrowsePage): void => this.connection.guard(() => this.take(page))
      this.connection.engine.browse(this.queue, from, PAGE, take, this.selector)
    } catch (cause) {
      // The queue has been deleted meanwhile.
      if (!isMillraceError(cause)) throw cause
      this.leave()
      this.link.detach(true, amqpError(cause))
    }
  }

  private take(page: BrowsePage): void {
    this.asking = false
    this.position = page.next
    this.page.push(...page.messages)
    this.pump()
  }

  private send(message: BrowsedMessage): void {
    const { link, connection } = this
    const ttl = message.expiry === 0 ? undefined : Math.max(1, message.expiry - connection.gateway.wall())
    const prefix = this.prefix.of(message, ttl)
    const { bytes, start, end, chunks } = message
    if (chunks.length === 0) {
      link.send(this.presettled, 0, null, prefix, bytes, start, end)
      return
    }
    link.begin(this.presettled, 0, null, prefix)
    this.large = new ChunkedDelivery({
      engine: connection.engine,
      link,
      chunks,
      flows: () => {
        const may = this.flows()
        if (!may) connection.outlet.wait(this)
        return may
      },
      // Not whole: somebody has taken it meanwhile.
      done: () => {
        this.large = undefined
        this.pump()
      },
    })
    this.large.resume()
  }

  disposition(first: number, last: number, state: DeliveryState | undefined, settled: boolean): void {
    if (!settled) this.link.settle(first, last, state)
  }

  detached(): void {
    if (!this.over) this.leave()
  }

  private leave(): void {
    this.over = true
    this.large?.forget()
    this.connection.links--
    this.connection.outlet.forget(this)
  }
}
