import { RECOVERED_PREFIX } from '../model/policy.ts'
import type { RecoveredQueue } from './api.ts'
import type { Core } from './core.ts'
import { SCHEDULE_QUEUE } from './ports/operations.ts'
import type { Queue } from './queue.ts'

/**
 * Queues whose declaration was damaged, while the engine recovers. A message names its queues by id, and each of them had been
 * declared before: an id that nobody has declared is damage, and its messages come into a queue of a name that is made of the id.
 * Declared once more when the journal has been read, it is a queue like others from then on. A start that reads the same
 * operations again makes the same queue of them.
 */
export class RecoveredQueues {
  private readonly core: Core
  /** What has been read of the journal does not declare them. */
  private readonly undeclared = new Set<number>()
  private found: readonly Queue[] = []

  constructor(core: Core) {
    this.core = core
  }

  /** The queues of a message that came after the checkpoint's topology. */
  named(ids: readonly number[]): void {
    for (const id of ids) {
      if (id === SCHEDULE_QUEUE || this.core.topology.byId.has(id)) continue
      this.make(id)
      this.undeclared.add(id)
    }
  }

  declared(id: number): void {
    this.undeclared.delete(id)
  }

  /** The engine may write. What would be empty is no loss to anybody, and is not kept. */
  finish(): void {
    const { topology, log } = this.core
    const queues = [...this.undeclared].flatMap((id) => topology.byId.get(id) ?? [])
    this.undeclared.clear()
    // A deletion that was under way is finished without it.
    this.found = queues.filter((queue) => !queue.deleting && !isEmpty(queue))
    for (const queue of queues) {
      const { id, definition, deleting } = queue
      if (this.found.includes(queue)) log.meta({ op: 'queue', id, definition })
      else if (!deleting) topology.apply({ op: 'queue-gone', id })
    }
    if (this.found.length > 0) this.core.schedule()
  }

  /** Those that this start has found. */
  report(): RecoveredQueue[] {
    return this.found.map(({ name, messages, pending }) => ({ name, messages: messages - pending }))
  }

  private make(id: number): void {
    const { topology, policies } = this.core
    const name = `${RECOVERED_PREFIX}${id}`
    const policy = policies.policyFor(name, undefined, true)
    const definition = { name, lifetime: { kind: 'forever' }, policy, durability: 'disk' } as const
    topology.apply({ op: 'queue', id, definition })
  }
}

function isEmpty(queue: Queue): boolean {
  return queue.messages === 0 && queue.scheduledMessages <= 0
}
