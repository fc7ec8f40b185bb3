import { MillraceError } from '../../model/errors.ts'
import type { LocalAttach } from '../../wire/amqp10/peer/events.ts'
import type { AmqpError, Attach } from '../../wire/amqp10/peer/performatives.ts'
import type { ReceiverLink } from '../../wire/amqp10/peer/receiver-link.ts'
import { fromAmqp } from './errors.ts'
import type { ReceiverSource } from './receiver.ts'
import { type Sessions, target } from './sessions.ts'

/** Creates a durable subscription by attaching to it, and leaves it (JMS mapping). */
export async function keepSubscription(sessions: Sessions, wanted: ReceiverSource): Promise<void> {
  const visit = new Visit(sessions, { ...wanted.attach, name: wanted.linkName! })
  await visit.attached
  await visit.leave(false)
}

/** Deletes a durable subscription: its link is looked up by name, without a source, and closed (JMS mapping). */
export async function dropSubscription(
  sessions: Sessions,
  name: string,
  shared: boolean,
  clientId: string | undefined,
): Promise<void> {
  const sharing = [...(shared ? ['shared'] : []), ...(clientId === undefined ? ['global'] : [])]
  const visit = new Visit(sessions, {
    name: clientId === undefined ? `${name}|global` : name,
    source: null,
    target: target({}),
    desiredCapabilities: sharing,
  })
  const { source } = await visit.attached
  if (source !== null) return visit.leave(true)
  await visit.leave(true).catch(() => {})
  throw new MillraceError('destination-not-found', `there is no subscription ${name}`)
}

/** A link that is attached for its own sake. */
class Visit {
  readonly attached: Promise<Attach>
  private readonly left: PromiseWithResolvers<void> = Promise.withResolvers()
  private readonly link: ReceiverLink
  private readonly sessions: Sessions

  constructor(sessions: Sessions, attach: LocalAttach) {
    const answer = Promise.withResolvers<Attach>()
    const refuse = (error: AmqpError | undefined) => {
      const why = fromAmqp(error, 'connection-lost')
      answer.reject(why)
      this.left.reject(why)
    }
    this.attached = answer.promise
    this.left.promise.catch(() => {})
    this.sessions = sessions
    this.link = sessions.attachReceiver(attach, {
      // The reason of a refusal follows in the detach; it comes with the same bytes, or soon after.
      attached: (got) => (got.source === null && attach.source !== null ? undefined : answer.resolve(got)),
      transfer: () => {},
      detached: (_closed, error) => refuse(error),
      detachConfirmed: (error) => (error ? refuse(error) : this.left.resolve()),
    })
  }

  async leave(closed: boolean): Promise<void> {
    this.link.detach(closed)
    this.sessions.release(this.link)
    await this.left.promise
  }
}
