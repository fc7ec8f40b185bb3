import type { Core } from '../core.ts'
import type { Queue } from '../queue.ts'
import type { MessageValues } from '../selection-values.ts'
import type { Settlements } from '../settlements.ts'
import type { Assortment } from './assortment.ts'
import { lookUp } from './candidates.ts'
import { type Entry, Examiner } from './examiner.ts'
import type { Interest } from './interests.ts'
import { participants, readStretch, type Stretch, startOf } from './pass.ts'
import { END, lsnOf, priorityOf, type Row } from './row.ts'

/** Puts ready messages into the rows of those who want them: new ones as they come, old ones in a pass over the queue. */
export class Sorter {
  private readonly core: Core
  private readonly examiner: Examiner
  private readonly again: (queue: Queue) => void
  private readonly settlements: () => Settlements
  private readonly matched: Interest[] = []

  /** `again` goes on with a queue whose work had to wait for the store. */
  constructor(core: Core, again: (queue: Queue) => void, settlements: () => Settlements) {
    this.core = core
    this.again = again
    this.settlements = settlements
    this.examiner = new Examiner(core)
  }

  /** Looks at what has become ready. False when it has to wait for the store. */
  sort(assortment: Assortment): boolean {
    const { queue, interests } = assortment
    this.free(assortment)
    const positions = assortment.arrived
    if (positions.length === 0) return true
    assortment.arrived = []
    if (!interests.hasSelective) {
      for (const position of positions) interests.all?.row.offer(position, assortment.limit)
      return true
    }
    return this.work(queue, (done) => {
      lookUp(this.core, queue, this.stored(assortment, positions), (entries) => {
        const visit = (entry: Entry, values: MessageValues | null): void =>
          this.offer(assortment, entry, values)
        this.examiner.examine({ queue, entries, visit, done })
      })
    })
  }

  /** Goes on with the pass for rows that run short, a step. False when it has to wait for the store. */
  pass(assortment: Assortment): boolean {
    const { queue } = assortment
    const from = startOf(assortment)
    return this.work(queue, (done) => {
      readStretch(this.core, queue, from, (stretch) => {
        const rows = participants(assortment, from, stretch.next)
        assortment.passAt = stretch.next
        this.fill(assortment, rows, stretch, () => {
          for (const row of rows) row.scanning = false
          this.leavePass(assortment, rows)
          done()
        })
      })
    })
  }

  /** Calls `task`, during which the queue rests. False when it is not done at once: then the queue goes on afterwards. */
  work(queue: Queue, task: (done: () => void) => void): boolean {
    let isDone = false
    let isLater = false
    queue.loading = true
    task(() => {
      isDone = true
      queue.loading = false
      if (isLater) this.again(queue)
    })
    isLater = true
    return isDone
  }

  private fill(assortment: Assortment, rows: readonly Row[], { entries }: Stretch, done: () => void): void {
    const { queue } = assortment
    if (rows.some(({ byValue }) => byValue)) {
      const visit = (entry: Entry, values: MessageValues | null): void =>
        this.offerInPass(assortment, entry, values)
      this.examiner.examine({ queue, entries, visit, done })
      return
    }
    const { all } = assortment.interests
    this.matched.length = 0
    if (all !== null) this.matched.push(all)
    for (const entry of entries) this.offerToRows(assortment, entry)
    done()
  }

  /** Those that have enough, or know everything, take no further part. */
  private leavePass(assortment: Assortment, rows: readonly Row[]): void {
    const { passAt, limit, wanting } = assortment
    let anyLeft = false
    for (const row of rows) {
      if (row.horizon === passAt && passAt < END && row.count < limit) continue
      wanting.delete(row)
      row.gained()
      anyLeft = true
    }
    if (anyLeft) assortment.wakeAll()
  }

  /** Members of groups that had to wait come up again. */
  private free(assortment: Assortment): void {
    const { groups } = assortment.queue
    if (groups === null || groups.freed.size === 0) return
    for (const group of groups.freed) {
      for (const position of groups.release(group)) assortment.arrive(position)
      if (group.aside !== null) assortment.wanting.add(group.aside)
    }
    groups.freed.clear()
  }

  /** What the store has not been given yet is looked at in the next turn. */
  private stored(assortment: Assortment, positions: readonly number[]): number[] {
    const { committedLsn } = this.core.log
    const stored: number[] = []
    for (const position of positions) {
      const isLater = lsnOf(position) > committedLsn && this.awaitsStore(assortment.queue, position)
      if (isLater) assortment.arrive(position)
      else stored.push(position)
    }
    return stored
  }

  /** What has left meanwhile, and was never to be stored, waits for nothing. */
  private awaitsStore(queue: Queue, position: number): boolean {
    const lsn = lsnOf(position)
    const chunk = queue.lanes[priorityOf(position)]?.chunkOf(lsn)
    const slot = chunk?.resident ? chunk.find(lsn) : -1
    return slot >= 0 && !this.core.isStored(lsn, chunk!.flagsOf(slot))
  }

  private offer(assortment: Assortment, entry: Entry, values: MessageValues | null): void {
    if (values === null) return this.damaged(assortment.queue, entry)
    assortment.interests.match(values.lookup, this.matched)
    for (const { row } of this.matched) row.offer(entry.position, assortment.limit)
  }

  private offerInPass(assortment: Assortment, entry: Entry, values: MessageValues | null): void {
    if (values === null) return this.damaged(assortment.queue, entry)
    assortment.interests.match(values.lookup, this.matched)
    this.offerToRows(assortment, entry)
  }

  /** To the rows that take part in the pass: of the interests that match, of the group, and of its consumer. */
  private offerToRows(assortment: Assortment, { position, group: number }: Entry): void {
    const { limit, queue } = assortment
    for (const { row } of this.matched) if (row.scanning) row.offer(position, limit)
    if (number === 0) return
    const group = queue.groups?.find(number)
    if (group?.aside?.scanning) group.aside.offer(position, queue.groups!.asideLimit)
    const owner = group?.owner
    if (owner?.own?.scanning && this.matched.includes(owner.interest!)) owner.own.offer(position, limit)
  }

  /** A damaged message matches nothing; found out here it leaves as it would on delivery. */
  private damaged(queue: Queue, { position, lsn }: Entry): void {
    const lane = queue.lanes[priorityOf(position)]
    const chunk = lane?.chunkOf(lsn)
    if (lane === undefined || !chunk) return
    const leave = (): void => this.settlements().damaged(queue, lsn)
    if (chunk.resident) leave()
    else this.core.pager.load(queue, lane, chunk, leave)
  }
}
