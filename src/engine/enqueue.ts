import type { Core } from './core.ts'
import { EntryFlag } from './index/chunk.ts'
import { groupNumber } from './index/group-number.ts'
import { ByteWriter, PublishFlag, type PublishHead, writePublish } from './ports/operations.ts'
import type { Queue } from './queue.ts'

/** Puts a message into a queue's index. `flags` are the entry's. Used for new messages, dead letters and at replay. */
export function enqueue(core: Core, queue: Queue, lsn: number, head: PublishHead, flags: number): void {
  const lane = queue.lane(head.priority)
  const expiry = queue.expiryOf(head)
  const group = head.flags & PublishFlag.grouped ? groupNumber(head.group) : 0
  if (lane.append(lsn, head.size, expiry, flags, group)) core.pager.filled(lane)
  queue.published++
  if (head.flags & PublishFlag.deduplicated)
    queue.seen?.add(head.deduplicationId, (flags & EntryFlag.memory) !== 0, head.publishedAt)
  core.entered(queue, lsn, flags)
  if (expiry > 0) core.expiring(queue, expiry)
}

/** The publish operation of a message that is never written, as VolatileMessages keeps it. */
export function encodeVolatile(head: PublishHead, payload: Uint8Array): Uint8Array {
  const writer = new ByteWriter(payload.length + 64)
  writePublish(writer, head, payload)
  return writer.bytes.subarray(0, writer.length)
}
