import type { Selector } from '../model/selector/selector.ts'
import type { BrowsedMessage, BrowsePage, MessageLocation } from './api.ts'
import type { Core } from './core.ts'
import { DeliveryRecord } from './delivery-record.ts'
import { type Chunk, EntryFlag } from './index/chunk.ts'
import type { Lane } from './index/lane.ts'
import { isHeld, isUndecided, StateCode, states } from './lifecycle.ts'
import type { Queue } from './queue.ts'
import { selects } from './selecting.ts'

/** Messages that one page of a browser with selector looks at. */
const LOOKED = 256

interface Position {
  readonly priority: number
  readonly lsn: number
}

interface Found {
  readonly lane: Lane
  readonly lsn: number
  readonly flags: number
  readonly deliveries: number
  readonly state: number
}

/** Looks into queues without changing them; the pages of a deep queue are read beside its index and forgotten again. */
export class Browser {
  private readonly core: Core

  constructor(core: Core) {
    this.core = core
  }

  /** With a selector a turn looks at a bounded number of messages, and tells in a later one where to go on. */
  browse(
    queue: Queue,
    after: string,
    limit: number,
    done: (page: BrowsePage) => void,
    selector?: Selector,
  ): void {
    const looked = selector === undefined || limit === 0 ? limit : LOOKED
    this.collect(queue, parsePosition(after), looked, [], (found) => {
      if (selector === undefined) return this.read(queue, found, found.length === limit, done)
      this.select(queue, found, limit, selector, (selected, last) => {
        const more = last < found.length || found.length === looked
        const next = more ? positionOf(found[last - 1]) : undefined
        this.read(queue, selected, false, ({ messages }) =>
          this.core.clock.defer(() => done({ messages, next })),
        )
      })
    })
  }

  /** The first `limit` of the entries that the selector takes, and how many were looked at for it. */
  private select(
    queue: Queue,
    found: readonly Found[],
    limit: number,
    selector: Selector,
    done: (selected: Found[], looked: number) => void,
  ): void {
    const selected: Found[] = []
    const step = (index: number): void => {
      const entry = found[index]
      if (entry === undefined || selected.length === limit) return done(selected, index)
      const { lsn, flags } = entry
      const durable = (flags & EntryFlag.memory) === 0
      selects(this.core, selector, { queue, lsn, flags, durable }, (isSelected) => {
        if (isSelected) selected.push(entry)
        step(index + 1)
      })
    }
    step(0)
  }

  locate(lsn: number, done: (locations: readonly MessageLocation[]) => void): void {
    const locations: MessageLocation[] = []
    let open = 1
    const finish = (): void => {
      if (--open === 0) done(locations)
    }
    for (const queue of this.core.topology.byId.values()) {
      for (const lane of queue.urgentFirst()) {
        const chunk = lane.chunkOf(lsn)
        if (chunk === null) continue
        open++
        this.core.pager.peek(queue, lane, chunk, (entries) => {
          const slot = entries.find(lsn)
          if (slot >= 0 && isHeld(entries.stateOf(slot)))
            locations.push(this.describe(queue, lane, entries, slot))
          finish()
        })
      }
    }
    finish()
  }

  private describe(queue: Queue, lane: Lane, chunk: Chunk, slot: number): MessageLocation {
    const lsn = chunk.lsnOf(slot)
    const state = chunk.stateOf(slot)
    const holder =
      state === StateCode.acquired ? queue.consumers.find((consumer) => consumer.holds(lsn)) : undefined
    return {
      queue: queue.name,
      lsn,
      state: this.core.isVisible(lsn, chunk.flagsOf(slot)) ? states[state]! : 'not yet durable',
      size: chunk.sizeOf(slot),
      priority: lane.priority,
      deliveryCount: chunk.deliveriesOf(slot),
      failures: chunk.failuresOf(slot),
      expiry: chunk.expiryOf(slot),
      due: state === StateCode.waiting ? chunk.dueOf(slot) : 0,
      consumer: holder?.connection.id,
    }
  }

  /** Gathers up to `limit` entries behind the position, a chunk at a time. */
  private collect(
    queue: Queue,
    from: Position,
    limit: number,
    found: Found[],
    done: (found: Found[]) => void,
  ): void {
    for (const lane of queue.urgentFirst()) {
      if (lane.priority > from.priority) continue
      const after = lane.priority === from.priority ? from.lsn : 0
      for (const chunk of lane.living(after)) {
        if (found.length >= limit) break
        if (!chunk.resident) {
          this.core.pager.peek(queue, lane, chunk, (entries) => {
            this.take(lane, entries, after, limit, found)
            this.collect(queue, { priority: lane.priority, lsn: chunk.lastLsn }, limit, found, done)
          })
          return
        }
        this.take(lane, chunk, after, limit, found)
      }
    }
    done(found)
  }

  private take(lane: Lane, chunk: Chunk, after: number, limit: number, found: Found[]): void {
    const now = this.core.clock.wall()
    for (let slot = 0; slot < chunk.length && found.length < limit; slot++) {
      const lsn = chunk.lsnOf(slot)
      const flags = chunk.flagsOf(slot)
      const state = chunk.stateOf(slot)
      const expiry = chunk.expiryOf(slot)
      if (isUndecided(state)) continue
      if (lsn <= after || !isHeld(state) || !this.core.isVisible(lsn, flags) || (expiry > 0 && expiry <= now))
        continue
      found.push({ lane, lsn, flags, deliveries: chunk.deliveriesOf(slot), state })
    }
  }

  private read(queue: Queue, found: readonly Found[], more: boolean, done: (page: BrowsePage) => void): void {
    const messages: BrowsedMessage[] = []
    const next = more ? positionOf(found[found.length - 1]) : undefined
    const step = (index: number): void => {
      const entry = found[index]
      if (entry === undefined) {
        done({ messages, next })
        return
      }
      this.core.withMessage(queue, entry.lsn, entry.flags, (slice) => {
        const record = new DeliveryRecord()
        if (slice !== null && record.read(slice, queue.name)) {
          record.lsn = entry.lsn
          record.deliveryCount = entry.deliveries
          record.durable = (entry.flags & EntryFlag.memory) === 0
          messages.push({ ...record, state: states[entry.state]! })
        }
        step(index + 1)
      })
    }
    step(0)
  }
}

function positionOf(last: Found | undefined): string | undefined {
  return last && `${last.lane.priority}:${last.lsn}`
}

function parsePosition(text: string): Position {
  const match = /^(\d+):(\d+)$/.exec(text)
  return match === null ? { priority: 9, lsn: 0 } : { priority: Number(match[1]), lsn: Number(match[2]) }
}
