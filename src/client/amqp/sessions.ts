import type { LocalAttach, ReceiverEvents, SenderEvents } from '../../wire/amqp10/peer/events.ts'
import type { Peer } from '../../wire/amqp10/peer/peer.ts'
import type { Source, Target } from '../../wire/amqp10/peer/performatives.ts'
import type { ReceiverLink } from '../../wire/amqp10/peer/receiver-link.ts'
import type { SenderLink } from '../../wire/amqp10/peer/sender-link.ts'
import type { PeerSession } from '../../wire/amqp10/peer/session.ts'

/** Links of one session; brokers allow at least so many handles. */
const LINKS_PER_SESSION = 200

/** The sessions of one line; another is begun when they have links enough. */
export class Sessions {
  private readonly peer: Peer
  private readonly links: Map<PeerSession, number> = new Map()

  constructor(peer: Peer) {
    this.peer = peer
  }

  attachSender(attach: LocalAttach, events: SenderEvents): SenderLink {
    return this.take().attachSender(attach, events)
  }

  attachReceiver(attach: LocalAttach, events: ReceiverEvents): ReceiverLink {
    return this.take().attachReceiver(attach, events)
  }

  /** The link has been detached. */
  release(link: SenderLink | ReceiverLink): void {
    const count = this.links.get(link.session)
    if (count !== undefined) this.links.set(link.session, count - 1)
  }

  private take(): PeerSession {
    for (const [session, count] of this.links) {
      if (count >= LINKS_PER_SESSION) continue
      this.links.set(session, count + 1)
      return session
    }
    const session = this.peer.begin({
      attached: (link) =>
        link.refuse({ condition: 'amqp:not-allowed', description: 'clients have no nodes' }),
      ended: () => void this.links.delete(session),
    })
    this.links.set(session, 1)
    return session
  }
}

/** Something on a connection that is made anew on the next line. */
export interface Resumable {
  /** A line has come about. Resolves when the broker has answered, or the line is lost again; never rejects. */
  resume(): Promise<void>
  /** The line is lost. */
  suspend(): void
  /** There will be no other line. */
  fail(error: Error): void
}

const noTerminus = {
  address: null,
  durable: 'none',
  expiryPolicy: 'link-detach',
  timeout: 0,
  dynamic: false,
  capabilities: [],
} as const

export function target(fields: Partial<Target>): Target {
  return { ...noTerminus, ...fields }
}

export function source(fields: Partial<Source>): Source {
  return { ...noTerminus, outcomes: [], ...fields }
}

/** What may become of a delivery, for sources that say it. */
export const OUTCOMES: readonly string[] = [
  'amqp:accepted:list',
  'amqp:rejected:list',
  'amqp:released:list',
  'amqp:modified:list',
]
