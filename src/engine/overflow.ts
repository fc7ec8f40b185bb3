import { MillraceError } from '../model/errors.ts'
import type { Core } from './core.ts'
import type { Chunk } from './index/chunk.ts'
import type { Lane } from './index/lane.ts'
import type { Value } from './last-values.ts'
import type { Queue } from './queue.ts'
import type { Settlements } from './settlements.ts'

/** Whether a message of `size` bytes fits that takes the place of `replaced`; what is being replaced takes none. An empty queue takes one message of any size. */
export function hasRoom(queue: Queue, size: number, replaced?: Value): boolean {
  const { maxMessages, maxBytes } = queue.policy
  const { values } = queue
  const leaving = (values?.replacing ?? 0) + (replaced === undefined ? 0 : 1)
  if (maxMessages !== undefined && queue.messages - leaving >= maxMessages) return false
  if (maxBytes === undefined || queue.messages === leaving) return true
  return queue.bytes - (values?.replacingBytes ?? 0) - (replaced?.size ?? 0) + size <= maxBytes
}

export function queueFull(queue: Queue): MillraceError {
  const { maxMessages, maxBytes } = queue.policy
  const capacity = `maxMessages ${maxMessages ?? 'unset'}, maxBytes ${maxBytes ?? 'unset'}`
  return new MillraceError(
    'queue-full',
    `queue ${JSON.stringify(queue.name)} is full with ${queue.messages} messages, ${queue.bytes} bytes (${capacity}); consume from it or raise its capacity`,
  )
}

/** Takes the oldest, least urgent messages out of queues that are over their capacity, as their policy says. */
export class Overflow {
  private readonly core: Core
  private readonly settlements: Settlements

  constructor(core: Core, settlements: Settlements) {
    this.core = core
    this.settlements = settlements
  }

  trim(queue: Queue): void {
    const { overflow } = queue.policy
    if (overflow !== 'drop-oldest' && overflow !== 'dead-letter') return
    while (isOver(queue)) {
      const oldest = oldestReady(queue)
      if (oldest === undefined) return
      const { lane, chunk } = oldest
      if (!chunk.resident) {
        this.core.pager.load(queue, lane, chunk, () => this.trim(queue))
        return
      }
      const slot = chunk.nextReady(0)
      if (overflow === 'dead-letter') this.settlements.overflow(queue, lane, chunk, slot)
      else this.settlements.discard(queue, lane, chunk, slot, 'dropped')
    }
  }
}

/** Messages that a dead-letter queue is about to take no longer count; those that may be rolled back do not yet. */
function isOver(queue: Queue): boolean {
  const { maxMessages, maxBytes } = queue.policy
  const messages = queue.messages - queue.moving - queue.pending - (queue.values?.replacing ?? 0)
  if (maxMessages !== undefined && messages > maxMessages) return true
  const bytes = queue.bytes - queue.movingBytes - queue.pendingBytes - (queue.values?.replacingBytes ?? 0)
  return maxBytes !== undefined && bytes > maxBytes && messages > 1
}

function oldestReady(queue: Queue): { lane: Lane; chunk: Chunk } | undefined {
  for (const lane of queue.lanes) {
    const chunk = lane?.chunkWithReady(0)
    if (lane !== undefined && chunk) return { lane, chunk }
  }
  return undefined
}
