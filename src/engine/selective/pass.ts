import type { Core } from '../core.ts'
import type { Chunk } from '../index/chunk.ts'
import type { Lane } from '../index/lane.ts'
import type { Queue } from '../queue.ts'
import type { Assortment } from './assortment.ts'
import { entryIn } from './candidates.ts'
import type { Entry } from './examiner.ts'
import { END, lessUrgentThan, lsnOf, positionOf, priorityOf, type Row } from './row.ts'

/** Messages looked into in one step. */
const STEP = 256

/** A stretch of a queue: its ready messages, and the position behind it. */
export interface Stretch {
  readonly entries: readonly Entry[]
  readonly next: number
}

/** Where the pass goes on: where it was, or when nobody wants to know what comes there, at the first that somebody does. */
export function startOf(assortment: Assortment): number {
  let first = END
  for (const { horizon } of assortment.wanting) {
    if (horizon === assortment.passAt) return horizon
    if (horizon < first) first = horizon
  }
  return first
}

/** The rows that do not know what lies in [from, next); from now on they count as knowing it. */
export function participants({ wanting }: Assortment, from: number, next: number): Row[] {
  const rows = [...wanting].filter(({ horizon }) => horizon >= from && horizon < next)
  for (const row of rows) {
    row.scanning = true
    row.horizon = next
  }
  return rows
}

/** Reads the next stretch of the queue, from a page too, which is not brought in for it. */
export function readStretch(core: Core, queue: Queue, from: number, done: (stretch: Stretch) => void): void {
  for (let at = from; at < END; ) {
    const lane = queue.lanes[priorityOf(at)]
    const chunk = lane?.chunkFrom(lsnOf(at))
    if (lane !== undefined && chunk) {
      if (chunk.resident) done(stretchOf(core, lane, chunk, lsnOf(at)))
      else core.pager.peek(queue, lane, chunk, (page) => done(stretchOf(core, lane, page, lsnOf(at), chunk)))
      return
    }
    at = priorityOf(at) === 0 ? END : lessUrgentThan(at)
  }
  done({ entries: [], next: END })
}

function stretchOf(core: Core, lane: Lane, chunk: Chunk, from: number, { lastLsn }: Chunk = chunk): Stretch {
  const entries: Entry[] = []
  for (let slot = chunk.slotFrom(from); slot < chunk.length; slot++) {
    if (entries.length === STEP) return { entries, next: positionOf(lane.priority, chunk.lsnOf(slot)) }
    const entry = entryIn(core, lane, chunk, slot)
    if (entry !== undefined) entries.push(entry)
  }
  return { entries, next: positionOf(lane.priority, lastLsn + 1) }
}
