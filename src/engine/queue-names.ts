import { OperationType, SCHEDULE_QUEUE } from './ports/operations.ts'
import { queueOfSection } from './snapshot.ts'
import type { TopologyChange } from './topology.ts'

/** The names of the queues that a journal speaks of by number, for whoever reads one without an engine. */
export class QueueNames {
  private readonly names = new Map<number, string>()

  /** A section of a checkpoint. */
  readonly restore = (section: Uint8Array): void => {
    const queue = queueOfSection(section)
    if (queue) this.names.set(queue.id, queue.name)
  }

  /** An operation of the journal. */
  readonly apply = (_lsn: number, type: number, bytes: Uint8Array, start: number, end: number): void => {
    if (type !== OperationType.meta) return
    const text = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString()
    const change = JSON.parse(text) as TopologyChange
    if (change.op === 'queue') this.names.set(change.id, change.definition.name)
  }

  /** A queue that is gone may have left no name. */
  nameOf(id: number): string {
    return id === SCHEDULE_QUEUE ? '(scheduled)' : (this.names.get(id) ?? `#${id}`)
  }
}
