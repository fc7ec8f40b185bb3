import { MillraceError } from '../model/errors.ts'
import type { Publication } from './api.ts'
import type { Connection } from './connection.ts'
import type { Core } from './core.ts'
import { hasRoom, queueFull } from './overflow.ts'
import type { Queue } from './queue.ts'

interface Held {
  readonly connection: Connection
  readonly publication: Publication
  /** Monotonic. */
  readonly deadline: number
}

/**
 * Publications that wait for room in a full queue with overflow 'block': bounded in number, bytes and time, in order of
 * arrival. Senders are told that they are blocked, and by which queue.
 */
export class Holds {
  private readonly core: Core
  /** Tries again; answers the queue that is full, undefined when the publication was stored or refused. */
  private readonly retry: (connection: Connection, publication: Publication) => Queue | undefined
  private readonly refuse: (connection: Connection, publication: Publication, error: MillraceError) => void
  private readonly waiting = new Map<Queue, Held[]>()
  private readonly bytes = new Map<Queue, number>()
  private readonly freed = new Set<Queue>()

  constructor(
    core: Core,
    retry: (connection: Connection, publication: Publication) => Queue | undefined,
    refuse: (connection: Connection, publication: Publication, error: MillraceError) => void,
  ) {
    this.core = core
    this.retry = retry
    this.refuse = refuse
    core.roomIn = (queue) => {
      this.freed.add(queue)
      core.schedule()
    }
    core.retryHeld = () => {
      if (this.freed.size === 0) return
      for (const queue of this.freed) this.release(queue)
      this.freed.clear()
    }
  }

  /** Throws `queue-full` when no more can be held. */
  hold(connection: Connection, publication: Publication, queue: Queue): void {
    const { heldMessages, heldBytes } = this.core.options
    const held = this.waiting.get(queue) ?? []
    const bytes = (this.bytes.get(queue) ?? 0) + publication.payload.length
    if (held.length >= heldMessages || bytes > heldBytes) throw queueFull(queue)
    const deadline = this.core.clock.monotonic() + queue.definition.policy.blockTimeout
    // The sender may use its buffer again.
    const payload = new Uint8Array(publication.payload)
    this.add(queue, { connection, publication: { ...publication, payload }, deadline })
  }

  private add(queue: Queue, entry: Held): void {
    const { connection, publication, deadline } = entry
    const held = this.waiting.get(queue) ?? []
    const isFirst = !held.some((other) => other.connection === connection)
    held.push(entry)
    if (held.length === 1) this.waiting.set(queue, held)
    this.bytes.set(queue, (this.bytes.get(queue) ?? 0) + publication.payload.length)
    queue.held = held.length
    this.core.deadlines.add(deadline, () => this.expire(queue))
    if (!isFirst) return
    connection.tellLater((sink) => sink.blocked(queue.name, 'queue-full'))
    this.core.touch(connection)
  }

  private release(queue: Queue): void {
    for (;;) {
      const first = this.waiting.get(queue)?.[0]
      if (first === undefined || !hasRoom(queue, first.publication.payload.length)) return
      const full = this.retry(first.connection, first.publication)
      if (full === queue) return
      this.remove(queue, (entry) => entry === first)
      // Another of its queues has filled up meanwhile: it waits for that one, until its old deadline.
      if (full !== undefined) this.add(full, first)
    }
  }

  forget(connection: Connection): void {
    for (const [queue, held] of this.waiting) {
      const rest = held.filter((entry) => entry.connection !== connection)
      this.replace(queue, rest)
    }
  }

  /** Refuses those that the condition is true of. */
  refuseAll(error: MillraceError, isMeant: (publication: Publication) => boolean): void {
    for (const [queue, held] of [...this.waiting]) {
      const refused = held.filter(({ publication }) => isMeant(publication))
      if (refused.length === 0) continue
      this.remove(queue, ({ publication }) => isMeant(publication))
      for (const { connection, publication } of refused) this.refuse(connection, publication, error)
    }
  }

  private expire(queue: Queue): void {
    const held = this.waiting.get(queue)
    if (held === undefined) return
    const now = this.core.clock.monotonic()
    const late = held.filter((entry) => entry.deadline <= now)
    if (late.length === 0) return
    const error = new MillraceError(
      'queue-full',
      `${queueFull(queue).message}; held for ${queue.definition.policy.blockTimeout} ms`,
    )
    // Before they are refused: a refusal may end a transaction, and with it others that wait.
    this.remove(queue, (entry) => entry.deadline <= now)
    for (const { connection, publication } of late) this.refuse(connection, publication, error)
  }

  private remove(queue: Queue, isGone: (entry: Held) => boolean): void {
    const held = this.waiting.get(queue) ?? []
    const gone = held.filter(isGone)
    this.replace(
      queue,
      held.filter((entry) => !isGone(entry)),
    )
    for (const connection of new Set(gone.map((entry) => entry.connection))) {
      const still = this.waiting.get(queue)?.some((entry) => entry.connection === connection)
      if (still) continue
      connection.tellLater((sink) => sink.unblocked(queue.name))
      this.core.touch(connection)
    }
  }

  private replace(queue: Queue, rest: Held[]): void {
    queue.held = rest.length
    if (rest.length === 0) {
      this.waiting.delete(queue)
      this.bytes.delete(queue)
      return
    }
    this.waiting.set(queue, rest)
    this.bytes.set(
      queue,
      rest.reduce((sum, { publication }) => sum + publication.payload.length, 0),
    )
  }
}
