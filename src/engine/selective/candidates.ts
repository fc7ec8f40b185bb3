import type { Core } from '../core.ts'
import type { Chunk } from '../index/chunk.ts'
import type { Lane } from '../index/lane.ts'
import { StateCode } from '../lifecycle.ts'
import type { Queue } from '../queue.ts'
import type { Entry } from './examiner.ts'
import { END, lessUrgentThan, lsnOf, positionOf, priorityOf, type Row } from './row.ts'

/** The message that comes next in a row. */
export class Candidate {
  position: number = END
  lane!: Lane
  chunk!: Chunk
  /** -1: its chunk has to be brought in. */
  slot = -1
}

/** Finds the next message of a row that can be seen; forgets those that have gone. False when there is none. */
export function findNext(core: Core, queue: Queue, row: Row, into: Candidate): boolean {
  for (let position = row.first; position !== END; ) {
    const where = findAt(core, queue, position, into)
    if (where === 'here') return true
    if (where === 'gone') row.remove(position)
    position = row.firstFrom(where === 'gone' ? position : lessUrgentThan(position))
  }
  return false
}

/** Fills `into` with the ready message at this position, if it is there and can be seen. */
export function findAt(
  core: Core,
  queue: Queue,
  position: number,
  into: Candidate,
): 'here' | 'gone' | 'unseen' {
  const lane = queue.lanes[priorityOf(position)]
  const lsn = lsnOf(position)
  const chunk = lane?.chunkOf(lsn) ?? null
  if (lane === undefined || chunk === null) return 'gone'
  into.position = position
  into.lane = lane
  into.chunk = chunk
  into.slot = chunk.resident ? chunk.find(lsn) : -1
  // What lies in a page is durable.
  if (!chunk.resident) return 'here'
  if (into.slot < 0 || chunk.stateOf(into.slot) !== StateCode.ready) return 'gone'
  return core.isVisible(lsn, chunk.flagsOf(into.slot)) ? 'here' : 'unseen'
}

/** What the index says of a ready message that the store has; undefined otherwise. */
export function entryIn(core: Core, lane: Lane, chunk: Chunk, slot: number): Entry | undefined {
  if (slot < 0 || chunk.stateOf(slot) !== StateCode.ready) return undefined
  const lsn = chunk.lsnOf(slot)
  const flags = chunk.flagsOf(slot)
  if (!core.isStored(lsn, flags)) return undefined
  return { position: positionOf(lane.priority, lsn), lsn, flags, group: chunk.groupOf(slot) }
}

/** Looks the ready messages at these positions up, in pages too, which are read beside the index. Consumes `positions`. */
export function lookUp(
  core: Core,
  queue: Queue,
  positions: number[],
  done: (entries: Entry[]) => void,
): void {
  const rising = Float64Array.from(positions).sort()
  const entries: Entry[] = []
  let peeked: { readonly chunk: Chunk; readonly entries: Chunk } | undefined
  const goOn = (from: number): void => {
    for (let i = from; i < rising.length; i++) {
      const lane = queue.lanes[priorityOf(rising[i]!)]
      const lsn = lsnOf(rising[i]!)
      const chunk = lane?.chunkOf(lsn)
      if (lane === undefined || !chunk) continue
      if (!chunk.resident && peeked?.chunk !== chunk) {
        core.pager.peek(queue, lane, chunk, (page) => {
          peeked = { chunk, entries: page }
          goOn(i)
        })
        return
      }
      const at = chunk.resident ? chunk : peeked!.entries
      const entry = entryIn(core, lane, at, at.find(lsn))
      if (entry !== undefined) entries.push(entry)
    }
    done(entries)
  }
  goOn(0)
}
