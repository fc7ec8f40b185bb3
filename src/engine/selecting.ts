import type { Selector } from '../model/selector/selector.ts'
import type { Core } from './core.ts'
import { OperationReader, PublishHead, readPublish } from './ports/operations.ts'
import { Slice } from './ports/store.ts'
import type { Queue } from './queue.ts'
import { MessageValues } from './selection-values.ts'

const reader = new OperationReader()
const head = new PublishHead()
const chunk = new Slice()
const values = new MessageValues()

/**
 * Calls back with whether the selector takes a stored message: at once when it is in memory, otherwise when what it takes has
 * been loaded. A damaged message is not selected, and a large one by its first chunk.
 */
export function selects(
  core: Core,
  selector: Selector,
  message: { readonly queue: Queue; readonly lsn: number; readonly flags: number; readonly durable: boolean },
  done: (selected: boolean) => void,
): void {
  core.withMessage(message.queue, message.lsn, message.flags, (slice) => {
    if (slice === null || !readPublish(reader.reset(slice.bytes, slice.start, slice.end), head))
      return done(false)
    const [first] = head.chunks
    if (first === undefined) {
      values.reset(core.contents, head, slice.bytes, message.durable, head.payloadStart, head.payloadEnd)
      return done(selector.matches(values.lookup))
    }
    const { format, priority } = head
    const answer = (): boolean => {
      if (!core.store.chunk(first, chunk)) return false
      values.reset(core.contents, { format, priority }, chunk.bytes, message.durable, chunk.start, chunk.end)
      done(selector.matches(values.lookup))
      return true
    }
    if (answer()) return
    core.store.load(0, [first], (damaged) => {
      if (damaged.length > 0 || !answer()) done(false)
    })
  })
}
