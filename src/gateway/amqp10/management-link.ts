import { MillraceError } from '../../model/errors.ts'
import { FORMAT_AMQP10, type PropertyValue } from '../../model/message.ts'
import { encodeMessage } from '../../wire/amqp10/message-encoder.ts'
import { MessageView } from '../../wire/amqp10/message-view.ts'
import type { ReceiverEvents, TransferPart } from '../../wire/amqp10/peer/events.ts'
import { accepted } from '../../wire/amqp10/peer/performatives.ts'
import type { ReceiverLink } from '../../wire/amqp10/peer/receiver-link.ts'
import { Arguments } from '../management/arguments.ts'
import { type Caller, perform } from '../management/requests.ts'
import type { AmqpConnection } from './connection.ts'
import { amqpError, operatingError, rejectedWith } from './errors.ts'
import { readPage } from './page.ts'
import { Relay } from './relay.ts'
import type { Route } from './route.ts'

/** Requests whose answers are not sent yet. */
const CREDIT = 50

const MAX_REQUEST_BYTES = 256 * 1024

/** The statuses of answers, in the manner of HTTP; errors without one of their own are 400, or 503 when asking again may help. */
const statuses: Readonly<Record<string, number>> = {
  'not-permitted': 403,
  'destination-not-found': 404,
  'prepared-not-found': 404,
  'destination-conflict': 409,
  'destination-in-use': 409,
  unsupported: 501,
}

/** What a request says; the route for its answer has been looked up and is permitted. */
interface Request {
  readonly id: string | undefined
  readonly operation: string
  readonly body: unknown
  readonly replyTo: Route
}

/** A sending link to the management node: each message is a request, and answered to the address that it names. */
export class ManagementLink implements ReceiverEvents {
  static readonly maxMessageSize: number = MAX_REQUEST_BYTES
  private readonly connection: AmqpConnection
  private readonly link: ReceiverLink
  private readonly relay: Relay
  private readonly caller: Caller
  private parts: Uint8Array[] = []
  private over = false

  constructor(connection: AmqpConnection, link: ReceiverLink) {
    this.connection = connection
    this.link = link
    this.relay = new Relay(connection)
    this.caller = callerOf(connection)
    connection.links++
    link.grant(CREDIT)
  }

  transfer({ id, settled, more, aborted, bytes, start, end }: TransferPart): void {
    this.parts.push(Uint8Array.from(bytes.subarray(start, end)))
    if (more) return
    const request = Buffer.concat(this.parts)
    this.parts = []
    if (aborted) return this.link.grant(1)
    this.connection.guard(() => {
      try {
        this.answer(this.read(request)).catch((cause) => this.connection.fault(cause))
        if (!settled) this.link.settle(id, id, accepted)
      } catch (cause) {
        if (!settled) this.link.settle(id, id, rejectedWith(amqpError(operatingError(cause))))
        this.link.grant(1)
      }
    })
  }

  /** Throws `message-invalid`, and what the address of the answer is refused with. */
  private read(bytes: Uint8Array): Request {
    const view = new MessageView(bytes, 0, bytes.length)
    const operation = view.property('operation')
    if (typeof operation !== 'string')
      throw new MillraceError('message-invalid', 'a request names its operation in the property operation')
    const { replyTo, messageId, body } = view
    return {
      id: messageId,
      operation,
      body: body.value,
      replyTo: this.relay.routeOf(replyTo?.name, replyTo?.kind),
    }
  }

  private async answer(request: Request): Promise<void> {
    const [properties, value] = await this.perform(request)
    if (!this.over) this.link.grant(1)
    try {
      this.reply(request, properties, value)
    } catch (cause) {
      // The connection has ended meanwhile: nobody waits.
      operatingError(cause)
    }
  }

  private async perform({ operation, body }: Request): Promise<[Record<string, PropertyValue>, unknown]> {
    try {
      const value = await perform(this.caller, operation, new Arguments(body))
      return [{ statusCode: 200, statusDescription: 'OK' }, value]
    } catch (cause) {
      const { code: errorCode, message: statusDescription, retryable } = operatingError(cause)
      const statusCode = statuses[errorCode] ?? (retryable ? 503 : 400)
      return [{ statusCode, statusDescription, errorCode }, null]
    }
  }

  /** The answer goes as any message to its queue; whoever gave a wrong address does not hear of it. */
  private reply({ id, replyTo }: Request, properties: Record<string, PropertyValue>, value: unknown): void {
    const { engine, number, sends } = this.connection
    const payload = encodeMessage({ correlationId: id, properties, body: { kind: 'value', value } })
    if (replyTo.temporary) engine.declareQueue({ name: replyTo.key, passive: true })
    engine.publish(number, {
      tag: sends.addUnheard(payload.length),
      exchange: replyTo.exchange,
      key: replyTo.key,
      durability: 'memory',
      priority: 4,
      format: FORMAT_AMQP10,
      payload,
      expiry: 0,
      producer: 0,
      sequence: 0,
      mandatory: false,
    })
  }

  detached(): void {
    this.over = true
    this.connection.links--
  }
}

function callerOf(connection: AmqpConnection): Caller {
  const { engine, gateway, clientId } = connection
  return {
    engine,
    operations: gateway.operations,
    clientId,
    permits: (operation, kind, name) => connection.permits(operation, kind, name),
    assertPermitted: (operation, kind, name) => connection.assertPermitted(operation, kind, name),
    page: (queue, after, limit, selector) => readPage(connection, queue, after, limit, selector),
  }
}
