import { RECOVERED_PREFIX } from '../model/policy.ts'
import type { RecoveredQueue } from './api.ts'
import {
  OperationReader,
  OperationType,
  PublishFlag,
  PublishHead,
  readPublish,
  SCHEDULE_QUEUE,
} from './ports/operations.ts'
import { queueOfSection, topologyOfSection } from './snapshot.ts'
import type { TopologyChange } from './topology.ts'

/** The names of the queues that a journal speaks of by number, for whoever reads one without an engine. */
export class QueueNames {
  private readonly names = new Map<number, string>()
  /** The messages of queues whose declaration was damaged. */
  private readonly orphans = new Map<number, number>()
  private readonly reader = new OperationReader()
  private readonly head = new PublishHead()
  private topologyAsOf = 0

  /** A section of a checkpoint. */
  readonly restore = (section: Uint8Array): void => {
    this.topologyAsOf = topologyOfSection(section) ?? this.topologyAsOf
    const queue = queueOfSection(section)
    if (queue) this.add(queue.id, queue.name)
  }

  /** An operation of the journal. */
  readonly apply = (lsn: number, type: number, bytes: Uint8Array, start: number, end: number): void => {
    if (type === OperationType.publish) this.published(lsn, bytes, start, end)
    if (type !== OperationType.meta) return
    const text = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString()
    const change = JSON.parse(text) as TopologyChange
    if (change.op === 'queue') this.add(change.id, change.definition.name)
    else if (change.op === 'queue-gone') this.orphans.delete(change.id)
  }

  /** A message that is still in some of the queues. */
  readonly alive = (queues: readonly number[]): void => {
    for (const id of queues) {
      const messages = this.orphans.get(id)
      if (messages !== undefined) this.orphans.set(id, messages + 1)
    }
  }

  /** A queue that is gone may have left no name. */
  nameOf(id: number): string {
    return id === SCHEDULE_QUEUE ? '(scheduled)' : (this.names.get(id) ?? `#${id}`)
  }

  /** Queues that hold what is left of others, or will when the broker starts. */
  recovered(): RecoveredQueue[] {
    return [...this.orphans]
      .filter(([, messages]) => messages > 0)
      .map(([id, messages]) => ({ name: this.nameOf(id), messages }))
  }

  private add(id: number, name: string): void {
    this.names.set(id, name)
    if (!name.startsWith(RECOVERED_PREFIX)) this.orphans.delete(id)
    else if (!this.orphans.has(id)) this.orphans.set(id, 0)
  }

  /** As RecoveredQueues does it. */
  private published(lsn: number, bytes: Uint8Array, start: number, end: number): void {
    const { head } = this
    if (lsn <= this.topologyAsOf || !readPublish(this.reader.reset(bytes, start, end), head)) return
    for (const id of head.flags & PublishFlag.due ? head.targets : head.queues) {
      if (id !== SCHEDULE_QUEUE && !this.names.has(id)) this.add(id, `${RECOVERED_PREFIX}${id}`)
    }
  }
}
