import { randomUUID } from 'node:crypto'
import { MillraceError } from '../../model/errors.ts'
import type { ReceiverEvents, SenderEvents, TransferPart } from '../../wire/amqp10/peer/events.ts'
import {
  type AmqpError,
  type Attach,
  accepted,
  type DeliveryState,
} from '../../wire/amqp10/peer/performatives.ts'
import type { ReceiverLink } from '../../wire/amqp10/peer/receiver-link.ts'
import type { SenderLink } from '../../wire/amqp10/peer/sender-link.ts'
import { encodeMessage, MessageView } from '../message-format.ts'
import { sendPrefix } from './envelope.ts'
import { fromAmqp, isCode, lost } from './errors.ts'
import { OUTCOMES, type Resumable, type Sessions, source, target } from './sessions.ts'

const ADDRESS = '$management'
/** Answers that may be under way. */
const CREDIT = 100

interface Request {
  readonly operation: string
  readonly arguments: Readonly<Record<string, unknown>>
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
  /** Asking again does no harm: it is repeated on the next line. */
  readonly repeatable: boolean
}

/**
 * Requests to the management node of a Millrace broker and their answers (docs/spec/amqp.md): a sending link to the node,
 * and a receiving one from a node of our own that answers are addressed to.
 */
export class Requests implements Resumable {
  private readonly home: { readonly sessions: Sessions | undefined }
  private readonly name: string = `management-${randomUUID()}`
  private sender: SenderLink | undefined
  private receiver: ReceiverLink | undefined
  private replyTo: string | undefined
  private readonly pending: Map<string, Request> = new Map()
  /** Message ids that have not been sent on the present links. */
  private unsent: string[] = []
  private number = 0
  private parts: Buffer[] = []
  private failure: Error | undefined

  constructor(home: { readonly sessions: Sessions | undefined }) {
    this.home = home
  }

  /** The body of the answer. Rejects with the error that the broker answers; `connection-lost` unless repeatable. */
  ask(
    operation: string,
    body: Readonly<Record<string, unknown>>,
    options: { readonly repeatable: boolean },
  ): Promise<unknown> {
    if (this.failure) return Promise.reject(this.failure)
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    const id = `${this.name}-${++this.number}`
    this.pending.set(id, { operation, arguments: body, resolve, reject, ...options })
    this.unsent.push(id)
    if (this.receiver) this.pump()
    else this.attach()
    return promise
  }

  private attach(): void {
    const { sessions } = this.home
    if (!sessions) return
    this.receiver = sessions.attachReceiver(
      {
        name: `${this.name}-answers`,
        rcvSettleMode: 'first',
        source: source({ dynamic: true, outcomes: OUTCOMES, capabilities: ['temporary-queue'] }),
        target: target({}),
      },
      this.answers,
    )
    this.sender = sessions.attachSender(
      {
        name: this.name,
        sndSettleMode: 'unsettled',
        source: source({ outcomes: OUTCOMES }),
        target: target({ address: ADDRESS }),
      },
      this.questions,
    )
  }

  private readonly questions: SenderEvents = {
    flow: () => this.pump(),
    disposition: (_first, _last, state) => this.refused(state),
    detached: (_closed, error) => this.detached(error),
  }

  private readonly answers: ReceiverEvents = {
    attached: (attach: Attach) => {
      this.replyTo = attach.source?.address ?? undefined
      this.receiver?.grant(CREDIT)
      this.pump()
    },
    transfer: (part) => this.answered(part),
    detached: (_closed, error) => this.detached(error),
  }

  private pump(): void {
    const { sender, replyTo } = this
    if (!sender || replyTo === undefined) return
    while (sender.credit > 0) {
      const id = this.unsent.shift()
      if (id === undefined) return
      const request = this.pending.get(id)!
      const bytes = encodeMessage({
        messageId: id,
        to: { kind: 'queue', name: ADDRESS },
        replyTo: { kind: 'temporary-queue', name: replyTo },
        properties: { operation: request.operation },
        body: { kind: 'value', value: request.arguments },
      })
      sender.send(false, 0, null, sendPrefix('memory', 4, 0), bytes, 0, bytes.length)
    }
  }

  /** A request that the node does not take: which one it was cannot be told, and none is answered out of order. */
  private refused(state: DeliveryState | undefined): void {
    if (state?.kind !== 'rejected') return
    const [id] = this.pending.keys()
    if (id !== undefined) this.take(id)?.reject(fromAmqp(state.error, 'unsupported'))
  }

  private answered(part: TransferPart): void {
    this.parts.push(Buffer.from(part.bytes.subarray(part.start, part.end)))
    if (part.aborted) this.parts = []
    if (part.more || part.aborted) return
    const bytes = this.parts.length === 1 ? this.parts[0]! : Buffer.concat(this.parts)
    this.parts = []
    if (!part.settled) this.receiver?.settle(part.id, part.id, accepted)
    this.receiver?.grant(1)
    const answer = new MessageView(bytes, 0, bytes.length)
    const request = this.take(answer.correlationId ?? '')
    if (!request) return
    const { statusCode, statusDescription, errorCode } = answer.properties
    if (Number(statusCode) < 300) return request.resolve(plain(answer.body.value))
    const code = isCode(errorCode) ? errorCode : 'illegal-state'
    request.reject(new MillraceError(code, String(statusDescription ?? 'the broker gave no reason')))
  }

  private take(id: string): Request | undefined {
    const request = this.pending.get(id)
    this.pending.delete(id)
    return request
  }

  private detached(error: AmqpError | undefined): void {
    if (error && this.home.sessions) {
      const why = fromAmqp(error, 'unsupported')
      this.rejectAll(() => why)
    }
    this.suspend()
  }

  async resume(): Promise<void> {
    if (this.unsent.length > 0) this.attach()
  }

  suspend(): void {
    const { sender, receiver } = this
    if (sender) this.home.sessions?.release(sender)
    if (receiver) this.home.sessions?.release(receiver)
    this.sender = undefined
    this.receiver = undefined
    this.replyTo = undefined
    this.parts = []
    this.rejectAll((request) => (request.repeatable ? undefined : lost(undefined)))
    // Those that stay are asked on the next links; one that was rejected before it was sent is not.
    this.unsent = [...this.pending.keys()]
  }

  fail(error: Error): void {
    this.failure = error
    this.unsent = []
    this.rejectAll(() => error)
  }

  private rejectAll(why: (request: Request) => Error | undefined): void {
    for (const [id, request] of this.pending) {
      const error = why(request)
      if (!error) continue
      this.pending.delete(id)
      request.reject(error)
    }
  }
}

/** Maps with text keys as objects, all the way down; null, which stands for absence, as undefined. */
function plain(value: unknown): unknown {
  if (value === null) return undefined
  if (Array.isArray(value)) return value.map(plain)
  if (!(value instanceof Map)) return typeof value === 'bigint' ? Number(value) : value
  const object: Record<string, unknown> = {}
  for (const [key, entry] of value) {
    Object.defineProperty(object, String(key), { value: plain(entry), enumerable: true, writable: true })
  }
  return object
}
