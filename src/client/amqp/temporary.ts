import { randomUUID } from 'node:crypto'
import type { SenderEvents } from '../../wire/amqp10/peer/events.ts'
import type { AmqpError, Attach } from '../../wire/amqp10/peer/performatives.ts'
import type { SenderLink } from '../../wire/amqp10/peer/sender-link.ts'
import { AmqpSymbol, Described } from '../../wire/amqp10/values.ts'
import { fromAmqp, lost } from './errors.ts'
import { type Resumable, type Sessions, source, target } from './sessions.ts'

/** Descriptor of the lifetime policy delete-on-close (core 3.5.10). */
const DELETE_ON_CLOSE = 0x2bn

type Kind = 'temporary-queue' | 'temporary-topic'

/**
 * A temporary destination: it lives with a sending link to a dynamic node (JMS mapping). On another line a broker that
 * knows us gives it its old name again; what it held is lost.
 */
export class TemporaryNode implements SenderEvents, Resumable {
  private readonly home: { readonly sessions: Sessions | undefined }
  private readonly kind: Kind
  name = ''
  private link: SenderLink | undefined
  private attaching: PromiseWithResolvers<void> | undefined
  private detaching: PromiseWithResolvers<void> | undefined

  constructor(home: { readonly sessions: Sessions | undefined }, kind: Kind) {
    this.home = home
    this.kind = kind
  }

  /** Creates it. Rejects with what the broker answers. */
  open(): Promise<void> {
    return this.attach()
  }

  private attach(): Promise<void> {
    const { sessions } = this.home
    if (!sessions) return Promise.resolve()
    this.attaching = Promise.withResolvers()
    const lifetime = new Map([['lifetime-policy', new Described(DELETE_ON_CLOSE, [])]])
    this.link = sessions.attachSender(
      {
        name: `temporary-${randomUUID()}`,
        source: source({}),
        target: target({
          dynamic: true,
          dynamicNodeProperties: new Map<string, unknown>([
            ...lifetime,
            ['supported-dist-modes', new AmqpSymbol(this.kind === 'temporary-queue' ? 'move' : 'copy')],
          ]),
          capabilities: [this.kind],
        }),
        properties: new Map(this.name === '' ? [] : [['millrace:address', this.name]]),
      },
      this,
    )
    return this.attaching.promise
  }

  attached(attach: Attach): void {
    if (attach.target === null || !('address' in attach.target)) return
    this.name = attach.target.address ?? ''
    this.attaching?.resolve()
    this.attaching = undefined
  }

  flow(): void {}

  disposition(): void {}

  detached(_closed: boolean, error: AmqpError | undefined): void {
    this.attaching?.reject(fromAmqp(error, 'connection-lost'))
    this.suspend()
  }

  /** Deletes it. Rejects with `destination-in-use` while it has consumers. */
  async delete(): Promise<void> {
    const { link } = this
    if (!link) return
    this.detaching = Promise.withResolvers()
    link.detach(true)
    await this.detaching.promise
  }

  detachConfirmed(error: AmqpError | undefined): void {
    if (error) this.detaching?.reject(fromAmqp(error, 'destination-in-use'))
    else this.detaching?.resolve()
    this.suspend()
  }

  async resume(): Promise<void> {
    // The broker's refusal shows when somebody uses it.
    await this.attach().catch(() => {})
  }

  suspend(): void {
    if (this.link) this.home.sessions?.release(this.link)
    this.link = undefined
    if (!this.home.sessions) this.attaching?.reject(lost(undefined))
    this.attaching = undefined
    this.detaching?.resolve()
  }

  fail(error: Error): void {
    this.attaching?.reject(error)
  }
}
