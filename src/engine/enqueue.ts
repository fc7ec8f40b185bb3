import type { Core } from './core.ts'
import { EntryFlag } from './index/chunk.ts'
import { groupNumber } from './index/group-number.ts'
import { isUndecided, StateCode } from './lifecycle.ts'
import { ByteWriter, PublishFlag, type PublishHead, writePublish } from './ports/operations.ts'
import type { Queue } from './queue.ts'
import { positionOf } from './selective/row.ts'

const one = [0]

/**
 * Puts a message into a queue's index. `flags` are the entry's, `state` is where its lifecycle begins. Used for new messages,
 * dead letters and at replay.
 */
export function enqueue(
  core: Core,
  queue: Queue,
  lsn: number,
  head: PublishHead,
  flags: number,
  state: number = StateCode.ready,
): void {
  const lane = queue.lane(head.priority)
  const expiry = queue.expiryOf(head)
  const group = head.flags & PublishFlag.grouped ? groupNumber(head.group) : 0
  lane.append(lsn, head.size, expiry, flags, group)
  queue.published++
  // An id counts once the message does.
  if (head.flags & PublishFlag.deduplicated && !isUndecided(state))
    queue.seen?.add(head.deduplicationId, (flags & EntryFlag.memory) !== 0, head.publishedAt)
  if (group > 0 && queue.groups === null) core.grouped(queue)
  if (state !== StateCode.ready) queue.setNewest(lane, state)
  else queue.assortment?.arrive(positionOf(head.priority, lsn))
  core.entered(queue, lsn, flags)
  if (queue.values !== null && head.flags & PublishFlag.keyed) core.keyed(queue, lsn, head, flags, state)
  if (expiry > 0 && !isUndecided(state)) core.expiring(queue, expiry)
}

/** For the head of a publish operation; valid until the next call. Most messages go to one queue. */
export function idsOf(queues: readonly Queue[]): readonly number[] {
  if (queues.length !== 1) return queues.map(({ id }) => id)
  one[0] = queues[0]!.id
  return one
}

/** The publish operation of a message that is never written, as VolatileMessages keeps it. */
export function encodeVolatile(head: PublishHead, payload: Uint8Array): Uint8Array {
  const writer = new ByteWriter(payload.length + 64)
  writePublish(writer, head, payload)
  return writer.bytes.subarray(0, writer.length)
}
