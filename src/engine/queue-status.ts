import type { QueueStatus } from './api.ts'
import type { Queue } from './queue.ts'

/** A queue as its operators see it. */
export function statusOf(queue: Queue): QueueStatus {
  const { definition, bytes, waiting, acquired, pending, held, published, delivered } = queue
  const lsns = [...queue.urgentFirst()].flatMap((lane) => lane.oldestLsn() ?? [])
  return {
    definition,
    messages: queue.messages - pending,
    bytes,
    ready: queue.ready,
    waiting,
    acquired,
    scheduled: queue.scheduledMessages + queue.scheduledInMemory,
    pending,
    consumers: queue.consumers.length,
    held,
    published,
    delivered,
    departed: { ...queue.departed },
    oldest: lsns.length > 0 ? { lsn: Math.min(...lsns) } : undefined,
  }
}
