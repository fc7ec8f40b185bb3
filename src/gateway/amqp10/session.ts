import { isMillraceError } from '../../model/errors.ts'
import { AmqpCondition } from '../../wire/amqp10/peer/conditions.ts'
import type { SessionEvents } from '../../wire/amqp10/peer/events.ts'
import type { Attach } from '../../wire/amqp10/peer/performatives.ts'
import type { ReceiverLink } from '../../wire/amqp10/peer/receiver-link.ts'
import type { SenderLink } from '../../wire/amqp10/peer/sender-link.ts'
import type { AmqpConnection } from './connection.ts'
import { amqpError } from './errors.ts'
import { attachSource } from './sources.ts'
import { attachTarget } from './targets.ts'

/** A session of a client: links attach here, and each finds its node or is refused with the reason. */
export class GatewaySession implements SessionEvents {
  private readonly connection: AmqpConnection

  constructor(connection: AmqpConnection) {
    this.connection = connection
  }

  attached(link: SenderLink | ReceiverLink, attach: Attach): void {
    const { links, gateway } = this.connection
    if (links >= gateway.limits.maxLinks) {
      const description = `a connection has at most ${gateway.limits.maxLinks} links`
      return link.refuse({ condition: AmqpCondition.resourceLimitExceeded, description })
    }
    this.connection.guard(() => {
      try {
        if (attach.role === 'receiver') attachSource(this.connection, link as SenderLink, attach)
        else attachTarget(this.connection, link as ReceiverLink, attach)
      } catch (cause) {
        if (!isMillraceError(cause)) throw cause
        link.refuse(amqpError(cause))
      }
    })
  }

  writable(): void {
    this.connection.guard(() => this.connection.outlet.wake())
  }

  ended(): void {
    // Its links have been told.
  }
}
