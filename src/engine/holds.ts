import { MillraceError } from '../model/errors.ts'
import type { Publication } from './api.ts'
import type { Connection } from './connection.ts'
import type { Core } from './core.ts'
import { hasRoom, queueFull } from './overflow.ts'
import type { Queue } from './queue.ts'

/** A publication that waits. */
interface Held {
  readonly connection: Connection
  readonly publication: Publication
  /** Rises from each to the next. */
  readonly arrival: number
  /** Where it goes, by what was bound when it was looked at last. */
  targets: readonly Queue[]
  /** In whose line it stands. Null: it waits no more. */
  queue: Queue | null
}

/** Those that wait for room in one queue, or behind others that do, in order of arrival. */
interface Line {
  readonly entries: Held[]
  bytes: number
}

/** What one connection has waiting, in order of arrival, and how many of that are for each queue. */
interface Sender {
  readonly entries: Set<Held>
  readonly routed: Map<Queue, number>
}

/** Why a publication could not be stored. */
export interface Obstacle {
  readonly full: Queue
  readonly targets: readonly Queue[]
}

/**
 * Publications that wait for room in a full queue with overflow 'block': bounded in number, bytes and time, in order of
 * arrival. Senders are told that they are blocked, and by which queue. Nobody overtakes: neither in a full queue, nor, among
 * the publications of one connection, in any queue that both are for; otherwise one that a full queue keeps waiting would come
 * behind later ones in those of its queues that have room.
 */
export class Holds {
  private readonly core: Core
  /** Tries again; answers what is in the way, undefined when the publication was stored or refused. */
  private readonly retry: (
    connection: Connection,
    publication: Publication,
    arrival: number,
  ) => Obstacle | undefined
  private readonly refuse: (connection: Connection, publication: Publication, error: MillraceError) => void
  private readonly lines = new Map<Queue, Line>()
  private readonly senders = new Map<Connection, Sender>()
  private freed = new Set<Queue>()
  private arrivals = 0

  constructor(core: Core, retry: Holds['retry'], refuse: Holds['refuse']) {
    this.core = core
    this.retry = retry
    this.refuse = refuse
    core.roomIn = (queue) => this.free(queue)
    core.retryHeld = () => {
      if (this.freed.size === 0) return
      const { freed } = this
      this.freed = new Set()
      for (const queue of freed) this.release(queue)
    }
  }

  /** The full queue for which earlier publications wait that one of `connection` for these queues must not overtake. */
  inTheWay(
    connection: Connection,
    targets: readonly Queue[],
    arrival: number = Number.POSITIVE_INFINITY,
  ): Queue | undefined {
    // A function of its own, because those below remember what they look for, and that is made anew with each message.
    return this.lines.size === 0 ? undefined : this.findInTheWay(connection, targets, arrival)
  }

  private findInTheWay(
    connection: Connection,
    targets: readonly Queue[],
    arrival: number,
  ): Queue | undefined {
    for (const queue of targets) {
      const first = this.lines.get(queue)?.entries[0]
      if (first !== undefined && first.arrival < arrival) return queue
    }
    const sender = this.senders.get(connection)
    if (!sender || !targets.some((queue) => sender.routed.has(queue))) return undefined
    for (const held of sender.entries) {
      if (held.arrival >= arrival) return undefined
      if (held.targets.some((queue) => targets.includes(queue))) return held.queue!
    }
    return undefined
  }

  /** Throws `queue-full` when no more can be held. */
  hold(connection: Connection, publication: Publication, { full, targets }: Obstacle): void {
    const { heldMessages, heldBytes } = this.core.options
    const line = this.lines.get(full)
    const bytes = (line?.bytes ?? 0) + publication.payload.length
    if ((line?.entries.length ?? 0) >= heldMessages || bytes > heldBytes) throw queueFull(full)
    // The sender may use its buffer again.
    const payload = new Uint8Array(publication.payload)
    const held: Held = {
      connection,
      publication: { ...publication, payload },
      arrival: ++this.arrivals,
      targets: [],
      queue: null,
    }
    const sender = this.senders.get(connection) ?? { entries: new Set(), routed: new Map() }
    this.senders.set(connection, sender)
    this.enterLine(held, full)
    sender.entries.add(held)
    route(sender, held, targets)
    const deadline = this.core.clock.monotonic() + full.policy.blockTimeout
    this.core.deadlines.add(deadline, () => this.expire(held))
  }

  forget(connection: Connection): void {
    for (const held of this.senders.get(connection)?.entries ?? []) this.withdraw(held)
  }

  /** Refuses those that the condition is true of. */
  refuseAll(error: MillraceError, isMeant: (publication: Publication) => boolean): void {
    const meant = [...this.lines.values()].flatMap(({ entries }) =>
      entries.filter(({ publication }) => isMeant(publication)),
    )
    for (const held of meant) this.withdraw(held)
    for (const { connection, publication } of meant) this.refuse(connection, publication, error)
  }

  private expire(held: Held): void {
    const { queue, connection, publication } = held
    if (queue === null) return
    // Before it is refused: a refusal may end a transaction, and with it others that wait.
    this.withdraw(held)
    const { message } = queueFull(queue)
    const { blockTimeout } = queue.policy
    const error = new MillraceError('queue-full', `${message}; held for ${blockTimeout} ms`)
    this.refuse(connection, publication, error)
  }

  /** Something has left the queue, or the middle of its line. */
  private free(queue: Queue): void {
    this.freed.add(queue)
    this.core.schedule()
  }

  /** Those behind it need not wait for it any more. */
  private withdraw(held: Held): void {
    if (held.queue === null) return
    this.free(held.queue)
    this.remove(held)
  }

  /** Lets those go whom nothing keeps any more: who needs room in this queue, and who stood behind one who did. */
  private release(queue: Queue): void {
    let isFull = false
    for (const held of [...(this.lines.get(queue)?.entries ?? [])]) {
      // A refusal may have ended a transaction, and with it others that waited.
      if (held.queue !== queue) continue
      const needsRoom = held.targets.includes(queue)
      isFull ||= needsRoom && !hasRoom(queue, held.publication.payload.length)
      if (needsRoom && isFull) continue
      const obstacle = this.retry(held.connection, held.publication, held.arrival)
      if (obstacle !== undefined) this.detain(held, obstacle)
      else this.remove(held)
      isFull ||= needsRoom && held.queue === queue
    }
  }

  /** It waits on, until its old deadline, for what is in its way now. */
  private detain(held: Held, { full, targets }: Obstacle): void {
    route(this.senders.get(held.connection)!, held, targets)
    if (full === held.queue) return
    this.leaveLine(held)
    this.enterLine(held, full)
  }

  private remove(held: Held): void {
    const { connection } = held
    const sender = this.senders.get(connection)!
    sender.entries.delete(held)
    if (sender.entries.size === 0) this.senders.delete(connection)
    route(sender, held, [])
    this.leaveLine(held)
  }

  private enterLine(held: Held, queue: Queue): void {
    const { connection, publication, arrival } = held
    const line = this.lines.get(queue) ?? { entries: [], bytes: 0 }
    this.lines.set(queue, line)
    if (!this.isBlocked(connection, queue)) {
      connection.tellLater((sink) => sink.blocked(queue.name, 'queue-full'))
      this.core.touch(connection)
    }
    const before = line.entries.findLastIndex((other) => other.arrival < arrival)
    line.entries.splice(before + 1, 0, held)
    line.bytes += publication.payload.length
    queue.held = line.entries.length
    held.queue = queue
  }

  private leaveLine(held: Held): void {
    const { connection, publication } = held
    const queue = held.queue!
    const line = this.lines.get(queue)!
    line.entries.splice(line.entries.indexOf(held), 1)
    line.bytes -= publication.payload.length
    queue.held = line.entries.length
    held.queue = null
    if (queue.held === 0) this.lines.delete(queue)
    if (this.isBlocked(connection, queue)) return
    connection.tellLater((sink) => sink.unblocked(queue.name))
    this.core.touch(connection)
  }

  private isBlocked(connection: Connection, queue: Queue): boolean {
    for (const held of this.senders.get(connection)?.entries ?? []) if (held.queue === queue) return true
    return false
  }
}

function route({ routed }: Sender, held: Held, targets: readonly Queue[]): void {
  for (const queue of held.targets) {
    const left = routed.get(queue)! - 1
    if (left > 0) routed.set(queue, left)
    else routed.delete(queue)
  }
  for (const queue of targets) routed.set(queue, (routed.get(queue) ?? 0) + 1)
  held.targets = targets
}
