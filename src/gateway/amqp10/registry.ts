import { MillraceError } from '../../model/errors.ts'
import { AmqpCondition } from '../../wire/amqp10/peer/conditions.ts'
import type { AmqpError } from '../../wire/amqp10/peer/performatives.ts'

/** A connection as others of its container see it. */
export interface Member {
  /** Absent: it is in this process, and cannot be made to leave. */
  close?(error: AmqpError): void
}

/** A link of a durable subscription, which only one consumer has at a time. */
export interface Stealable {
  stolen(): void
}

interface Container {
  readonly members: Set<Member>
  /** The one that asked to be alone. */
  sole: Member | undefined
}

/** Whether a container that must be alone is refused, or ends the connections that it finds. */
export type Enforcement = 'refuse' | 'close-existing'

/** Which containers are connected, and which of them has which subscription; one for all ways into a broker. */
export class Registry {
  private readonly containers: Map<string, Container> = new Map()
  private readonly subscribers: Map<string, Stealable> = new Map()

  /**
   * Takes a connection in. One that is to be the only one of its container meets no other; a container that is alone lets no
   * other in. Throws `client-id-invalid`.
   */
  join(containerId: string, member: Member, sole: Enforcement | undefined): void {
    const container = this.containers.get(containerId) ?? { members: new Set(), sole: undefined }
    if (container.members.size > 0 && (sole !== undefined || container.sole)) {
      const stays = [...container.members].some((other) => !other.close)
      if (sole !== 'close-existing' || stays) {
        throw new MillraceError(
          'client-id-invalid',
          `a client with the id ${JSON.stringify(containerId)} is connected`,
        )
      }
      const others = [...container.members]
      container.members.clear()
      for (const other of others) other.close?.(replaced)
    }
    container.members.add(member)
    if (sole !== undefined) container.sole = member
    this.containers.set(containerId, container)
  }

  leave(containerId: string, member: Member): void {
    const container = this.containers.get(containerId)
    if (!container?.members.delete(member)) return
    if (container.sole === member) container.sole = undefined
    if (container.members.size === 0) this.containers.delete(containerId)
  }

  /** Whoever consumes from the subscription is told that it was stolen (core 2.6.9). */
  steal(queue: string): void {
    const link = this.subscribers.get(queue)
    this.subscribers.delete(queue)
    link?.stolen()
  }

  hold(queue: string, link: Stealable): void {
    this.subscribers.set(queue, link)
  }

  letGo(queue: string, link: Stealable): void {
    if (this.subscribers.get(queue) === link) this.subscribers.delete(queue)
  }
}

const replaced: AmqpError = {
  condition: AmqpCondition.resourceLocked,
  description: 'another connection of this container has taken its place',
  info: new Map([['sole-connection-enforcement', true]]),
}
