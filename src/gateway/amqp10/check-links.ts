import type { Engine, PreparedCheck } from '../../engine/api.ts'
import type { MillraceError } from '../../model/errors.ts'
import type { SenderEvents } from '../../wire/amqp10/peer/events.ts'
import { type DeliveryState, released } from '../../wire/amqp10/peer/performatives.ts'
import type { SenderLink } from '../../wire/amqp10/peer/sender-link.ts'
import { next } from '../../wire/amqp10/peer/serial.ts'
import { fetchBody } from '../management/bodies.ts'
import type { AmqpConnection } from './connection.ts'
import { checkPrefix } from './delivery-prefix.ts'
import { settlementOf } from './outcomes.ts'

/** Checks that wait for credit; one that is not sent is asked for again by the engine. */
const MAX_WAITING = 1_000

/** The links of a connection on which it answers for half messages, by their groups. */
export class CheckLinks {
  private readonly connection: AmqpConnection
  private readonly groups: Map<string, CheckLink[]> = new Map()

  constructor(connection: AmqpConnection) {
    this.connection = connection
  }

  /** Throws `argument-invalid`. */
  join(link: SenderLink, group: string): CheckLink {
    const { engine, number } = this.connection
    engine.joinGroup(number, group)
    const member = new CheckLink(this.connection, link, () => this.leave(group, member))
    this.groups.set(group, [...(this.groups.get(group) ?? []), member])
    return member
  }

  private leave(group: string, member: CheckLink): void {
    const others = this.groups.get(group)!.filter((other) => other !== member)
    if (others.length > 0) {
      this.groups.set(group, others)
      return
    }
    this.groups.delete(group)
    this.connection.engine.leaveGroup(this.connection.number, group)
  }

  /** One link of the group is asked, one that takes something if there is any. */
  ask(prepared: readonly PreparedCheck[]): void {
    for (const check of prepared) {
      const members = this.groups.get(check.group) ?? []
      const member = members.find(({ isReady }) => isReady) ?? members[0]
      member?.ask(check)
    }
  }
}

/**
 * Half messages to a producer of their group: accepted commits, rejected rolls back, and whatever else leaves it open, so
 * that it is asked for again.
 */
class CheckLink implements SenderEvents {
  private readonly connection: AmqpConnection
  private readonly engine: Engine
  private readonly link: SenderLink
  private readonly left: () => void
  private readonly waiting: PreparedCheck[] = []
  /** Ids of half messages by delivery-id. */
  private readonly asked: Map<number, string> = new Map()
  private over = false

  constructor(connection: AmqpConnection, link: SenderLink, left: () => void) {
    this.connection = connection
    this.engine = connection.engine
    this.link = link
    this.left = left
    connection.links++
  }

  get isReady(): boolean {
    return this.link.credit > this.waiting.length
  }

  ask(check: PreparedCheck): void {
    if (this.waiting.length < MAX_WAITING && !this.waiting.some(({ id }) => id === check.id))
      this.waiting.push(check)
    this.pump()
  }

  flow(): void {
    this.connection.guard(() => this.pump())
  }

  private pump(): void {
    while (!this.over && this.link.credit > 0 && this.waiting.length > 0) this.send(this.waiting.shift()!)
    if (this.link.draining) this.link.drained()
  }

  private send(check: PreparedCheck): void {
    if (check.chunks.length === 0) return this.write(check, check.bytes, check.start, check.end)
    void fetchBody(this.engine, check).then((bytes) =>
      this.connection.guard(() => {
        if (bytes && !this.over && this.link.credit > 0) this.write(check, bytes, 0, bytes.length)
      }),
    )
  }

  private write(check: PreparedCheck, bytes: Uint8Array, start: number, end: number): void {
    const { expiry, id } = check
    const ttl = expiry === 0 ? undefined : Math.max(1, expiry - this.connection.gateway.wall())
    const delivery = this.link.send(false, 0, null, checkPrefix(check, ttl), bytes, start, end)
    this.asked.set(delivery, id)
  }

  disposition(first: number, last: number, state: DeliveryState | undefined, settled: boolean): void {
    this.connection.guard(() => {
      const outcome = state && settlementOf(state)?.outcome
      if (outcome === undefined && !settled) return
      for (let id = first; ; id = next(id)) {
        this.answered(id, outcome, state ?? released, settled)
        if (id === last) break
      }
    })
  }

  private answered(id: number, outcome: string | undefined, state: DeliveryState, settled: boolean): void {
    const prepared = this.asked.get(id)
    if (prepared === undefined) return
    this.asked.delete(id)
    const tell = (error?: MillraceError): void => {
      // Decided meanwhile by somebody else: what was answered does not count.
      if (!settled) this.link.settle(id, id, error ? released : state)
    }
    if (outcome === 'accepted') this.engine.decidePrepared(prepared, 'commit', tell)
    else if (outcome === 'rejected') this.engine.decidePrepared(prepared, 'rollback', tell)
    else tell()
  }

  detached(): void {
    this.connection.guard(() => {
      if (this.over) return
      this.over = true
      this.connection.links--
      this.left()
    })
  }
}
