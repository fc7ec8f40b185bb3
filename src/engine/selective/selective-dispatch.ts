import { choose, chooseOwner } from '../choice.ts'
import type { Consumer } from '../consumer.ts'
import type { Core } from '../core.ts'
import type { Chunk } from '../index/chunk.ts'
import { EntryFlag } from '../index/chunk.ts'
import type { Lane } from '../index/lane.ts'
import type { Queue } from '../queue.ts'
import { selects } from '../selecting.ts'
import type { Settlements } from '../settlements.ts'
import { Assortment } from './assortment.ts'
import { Candidate, findAt, findNext } from './candidates.ts'
import { type Group, Groups } from './groups.ts'
import type { Interest } from './interests.ts'
import { END, isClear, lsnOf, priorityOf, type Row, START } from './row.ts'
import { Sorter } from './sorter.ts'

/** Messages handed out or put elsewhere from one queue in one turn; then the others have theirs. */
const TURN_STEPS = 4096
/** Steps of a pass in one turn. */
const PASS_STEPS = 8
/** Messages asked for at once when they are not in memory. */
const LOAD_AHEAD = 256

/** 'idle': there is nothing for this one now. 'stop': nor for anybody, before the store has answered or the next turn. */
type Step = 'on' | 'idle' | 'stop'

/** What the way out does for a selective queue too. */
export interface WayOut {
  /** False when the message has to be loaded first. */
  handOut(queue: Queue, lane: Lane, chunk: Chunk, slot: number, consumer: Consumer): boolean
  load(queue: Queue, lsns: readonly number[]): void
  schedule(queue: Queue): void
  /** Goes on with the queue at once, because what was loaded is certain to be in memory only now. */
  again(queue: Queue): void
}

/**
 * The way out of queues in which somebody does not take everything, or messages belong to groups: each interest has a row of
 * its next messages, so that nobody steps over what others want (docs/adr/0010-rows-of-candidates.md).
 */
export class SelectiveDispatch {
  private readonly core: Core
  private readonly out: WayOut
  private readonly sorter: Sorter
  private readonly shared = new Candidate()
  private readonly mine = new Candidate()
  /** Whether a message is one for the owner of its group, when it had to be loaded to know. */
  private verdict: { readonly lsn: number; readonly owner: Consumer; readonly takes: boolean } | null = null

  constructor(core: Core, out: WayOut, settlements: () => Settlements) {
    this.core = core
    this.out = out
    this.sorter = new Sorter(core, (queue) => out.again(queue), settlements)
    core.joined = (consumer) => this.joined(consumer)
    core.left = (consumer) => this.left(consumer)
    core.grouped = (queue) => this.grouped(queue)
  }

  dispatch(assortment: Assortment): void {
    const { queue } = assortment
    if (queue.loading) return
    assortment.wakeUnseen()
    if (!this.sorter.sort(assortment) || !this.serve(assortment)) return
    queue.groups?.sweep()
    for (let steps = PASS_STEPS; steps > 0 && assortment.wanting.size > 0; steps--) {
      if (!this.sorter.pass(assortment)) return
    }
    const isDone = assortment.wanting.size + assortment.awake.size + assortment.owed.size === 0
    const isSorted = assortment.arrived.length + (queue.groups?.freed.size ?? 0) === 0
    if (!isDone || !isSorted) this.out.schedule(queue)
  }

  /** Whether the consumer, who has credit, may get more when the queue has been looked through. */
  mayHaveMore({ interest, own, hungry }: Consumer): boolean {
    if (interest === null || !hungry) return false
    return interest.row.horizon < END || (own !== null && own.horizon < END)
  }

  private joined(consumer: Consumer): void {
    const { queue } = consumer
    if (queue.assortment !== null) queue.assortment.join(consumer)
    else if (consumer.selector !== null || queue.groups !== null) this.assort(queue)
    this.out.schedule(queue)
  }

  private left(consumer: Consumer): void {
    const { queue } = consumer
    const { assortment } = queue
    if (assortment === null) return
    assortment.leave(consumer)
    const isPlain = queue.groups === null && !assortment.interests.hasSelective
    if (queue.consumers.length === 0 || isPlain) this.dissolve(queue)
    this.out.schedule(queue)
  }

  private grouped(queue: Queue): void {
    queue.groups = new Groups()
    if (queue.consumers.length > 0 && queue.assortment === null) this.assort(queue)
  }

  private assort(queue: Queue): void {
    const assortment = new Assortment(queue, this.core.options.candidates)
    queue.assortment = assortment
    for (const consumer of queue.consumers) assortment.join(consumer)
    assortment.wakeAll()
  }

  /** Everybody takes everything again, or nobody is there: what is ready is in the index. */
  private dissolve(queue: Queue): void {
    queue.assortment = null
    queue.groups?.forgetAside()
    for (const consumer of queue.consumers) {
      consumer.interest = null
      consumer.own = null
    }
    if (queue.consumers.length === 0 && queue.messages === 0) queue.groups = null
  }

  /** False when it has to stop. */
  private serve(assortment: Assortment): boolean {
    let left = TURN_STEPS
    for (let isMoving = true; isMoving; ) {
      isMoving = false
      for (const consumer of assortment.owed) {
        const step = this.serveOwed(assortment, consumer)
        if (step === 'stop') return false
        if (step === 'idle') assortment.owed.delete(consumer)
        else isMoving = --left > 0
      }
      const { urgency } = assortment
      for (const interest of assortment.awake) {
        if (urgency > Number.NEGATIVE_INFINITY && interest.priority < urgency) {
          isMoving ||= left > 0
          continue
        }
        const step = this.serveInterest(assortment, interest)
        if (step === 'stop') return false
        if (step === 'idle') assortment.awake.delete(interest)
        else isMoving = --left > 0
      }
    }
    return true
  }

  private serveInterest(assortment: Assortment, interest: Interest): Step {
    const { queue, wanting, unseen } = assortment
    const { row } = interest
    const { shared, mine } = this
    if (interest.declined !== null) {
      const step = this.serveDeclined(assortment, interest, interest.declined)
      if (step !== 'idle') return step
    }
    const isFound = findNext(this.core, queue, row, shared)
    if (assortment.runsShort(row) && interest.isHungry) wanting.add(row)
    if (!isFound) {
      if (row.count > 0) unseen.add(interest)
      return 'idle'
    }
    for (let left = interest.consumers.length; left > 0; left--) {
      const consumer = choose(interest, lsnOf(shared.position))
      if (consumer === null) return 'idle'
      if (consumer === undefined) {
        interest.decline(shared.position, assortment.limit)
        return 'on'
      }
      const { own } = consumer
      if (own === null) return this.route(assortment, row, shared, consumer)
      const isOwnFirst = findNext(this.core, queue, own, mine) && mine.position < shared.position
      if (isOwnFirst) return this.giveOwn(assortment, consumer, own)
      if (own.horizon > shared.position) return this.route(assortment, row, shared, consumer)
      // What it has to get before has yet to be found.
      assortment.want(own, interest)
    }
    return 'idle'
  }

  private serveOwed(assortment: Assortment, consumer: Consumer): Step {
    const { own, interest } = consumer
    if (own === null || interest === null || !consumer.hungry) return 'idle'
    const isFound = findNext(this.core, assortment.queue, own, this.mine)
    if (assortment.runsShort(own)) assortment.wanting.add(own)
    if (!isFound) return 'idle'
    const { position } = this.mine
    const isLater =
      interest.row.first < position &&
      findNext(this.core, assortment.queue, interest.row, this.shared) &&
      this.shared.position < position
    if (isLater) return this.serveInterest(assortment, interest)
    if (interest.row.horizon > position) return this.giveOwn(assortment, consumer, own)
    assortment.want(interest.row, interest)
    return 'idle'
  }

  /** The candidate `mine`, which was kept for the consumer, unless something has changed since. */
  private giveOwn(assortment: Assortment, consumer: Consumer, own: Row): Step {
    const { queue } = assortment
    const { position, chunk, slot } = this.mine
    if (slot < 0) return this.bringIn(queue, this.mine)
    const number = chunk.groupOf(slot)
    const group = number === 0 ? null : queue.groups!.get(number)
    if (group?.blocks(position)) return this.setAside(queue, group, own, position)
    const isStillIts = group === null || group.owner === consumer
    if (isStillIts && !consumer.excluded?.has(lsnOf(position)))
      return this.give(queue, own, this.mine, consumer)
    own.remove(position)
    assortment.arrive(position)
    return 'on'
  }

  /** Gives a message to the consumer, or to whom its group belongs. */
  private route(assortment: Assortment, row: Row, candidate: Candidate, consumer: Consumer): Step {
    const { queue } = assortment
    const { position, chunk, slot } = candidate
    if (slot < 0) return this.bringIn(queue, candidate)
    const number = chunk.groupOf(slot)
    if (number === 0) return this.give(queue, row, candidate, consumer)
    const groups = queue.groups!
    const group = groups.get(number)
    if (group.blocks(position)) return this.setAside(queue, group, row, position)
    const { owner } = group
    if (owner === consumer) return this.give(queue, row, candidate, consumer)
    if (owner !== null && !owner.cancelled) {
      const takes = this.takes(queue, owner, consumer.interest!, candidate)
      if (takes === undefined) return 'stop'
      if (takes) return this.giveOwner(assortment, row, candidate, owner, consumer)
    }
    if (group.unsettled > 0) {
      group.waitsForIdle = true
      return this.setAside(queue, group, row, position)
    }
    if (owner !== null && !isClear(owner.own)) {
      // Earlier members may be among what was kept for it.
      assortment.takeBack(group)
      this.out.schedule(queue)
      return 'stop'
    }
    const heir = chooseOwner(consumer.interest!, consumer, lsnOf(position))
    groups.assign(group, heir)
    return heir === consumer
      ? this.give(queue, row, candidate, heir)
      : this.giveOwner(assortment, row, candidate, heir, consumer)
  }

  /** To the owner of its group, when nothing that it has to get before is in its way; otherwise it is kept for it. */
  private giveOwner(
    assortment: Assortment,
    row: Row,
    candidate: Candidate,
    owner: Consumer,
    consumer: Consumer,
  ): Step {
    if (owner.hungry && isClear(owner.own) && owner.interest === consumer.interest)
      return this.give(assortment.queue, row, candidate, owner)
    row.remove(candidate.position)
    assortment.keepFor(owner, candidate.position)
    return 'on'
  }

  /** Whether the message is one for the owner of its group; undefined when it has to be loaded first. */
  private takes(queue: Queue, owner: Consumer, interest: Interest, at: Candidate): boolean | undefined {
    const lsn = lsnOf(at.position)
    if (owner.excluded?.has(lsn)) return false
    const { selector } = owner
    if (owner.interest === interest || selector === null) return true
    if (this.verdict?.lsn === lsn && this.verdict.owner === owner) return this.verdict.takes
    const flags = at.chunk.flagsOf(at.slot)
    const durable = (flags & EntryFlag.memory) === 0
    let takes = false
    const isKnown = this.sorter.work(queue, (done) => {
      selects(this.core, selector, { queue, lsn, flags, durable }, (selected) => {
        takes = selected
        this.verdict = { lsn, owner, takes }
        done()
      })
    })
    return isKnown ? takes : undefined
  }

  private give(queue: Queue, row: Row, candidate: Candidate, consumer: Consumer): Step {
    const { position, lane, chunk, slot } = candidate
    if (!this.out.handOut(queue, lane, chunk, slot, consumer)) return this.loadAhead(queue, row, position)
    row.remove(position)
    return 'on'
  }

  /** The member waits with its group. */
  private setAside(queue: Queue, group: Group, row: Row, position: number): Step {
    row.remove(position)
    queue.groups!.setAside(group, position)
    return 'on'
  }

  /** What others declined, to somebody with credit who did not. */
  private serveDeclined(assortment: Assortment, interest: Interest, declined: Row): Step {
    const { queue } = assortment
    for (const position of declined.following(START, assortment.limit)) {
      const where = findAt(this.core, queue, position, this.shared)
      if (where === 'gone') declined.remove(position)
      const consumer = where === 'here' ? choose(interest, lsnOf(position)) : undefined
      if (consumer === null) return 'idle'
      if (consumer !== undefined) return this.route(assortment, declined, this.shared, consumer)
    }
    interest.declinedIsOver()
    return 'idle'
  }

  private bringIn(queue: Queue, { lane, chunk }: Candidate): Step {
    this.sorter.work(queue, (done) => this.core.pager.load(queue, lane, chunk, done))
    return 'stop'
  }

  private loadAhead(queue: Queue, row: Row, position: number): Step {
    const lsns: number[] = []
    for (const next of row.following(position, LOAD_AHEAD)) {
      const lsn = lsnOf(next)
      const chunk = queue.lanes[priorityOf(next)]?.chunkOf(lsn)
      const slot = chunk?.resident ? chunk.find(lsn) : -1
      if (slot >= 0 && !(chunk!.flagsOf(slot) & EntryFlag.memory)) lsns.push(lsn)
    }
    this.out.load(queue, lsns)
    return 'stop'
  }
}
