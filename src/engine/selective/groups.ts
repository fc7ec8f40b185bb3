import type { Consumer } from '../consumer.ts'
import { StateCode } from '../lifecycle.ts'
import { END, isClear, Row } from './row.ts'

/** Groups remembered with their consumer while nothing of them is on its way. */
const STICKY_GROUPS = 10_000
/** Positions set aside for all groups of a queue that have to wait. */
const ASIDE = 65_536

const ACQUIRED = StateCode.acquired
const WAITING = StateCode.waiting

/** A message group (JMS 3.5.9): one consumer at a time has its messages. */
export class Group {
  readonly number: number
  owner: Consumer | null = null
  unsettled = 0
  /** Members that wait out their backoff; the others wait with them. */
  parked = 0
  /** Members that came up while the group had to wait; null while there are none. */
  aside: Row | null = null
  /** What is aside cannot go to the owner, so it waits until nothing is unsettled. */
  waitsForIdle = false

  constructor(number: number) {
    this.number = number
  }

  /** Whether a ready member at this position has to wait, whoever asks. */
  blocks(position: number): boolean {
    if (this.parked > 0) return true
    return this.aside !== null && (this.aside.count > 0 || position >= this.aside.horizon)
  }

  get isIdle(): boolean {
    return this.unsettled === 0 && this.parked === 0 && this.aside === null
  }

  get mayGoOn(): boolean {
    return this.parked === 0 && (this.unsettled === 0 || !this.waitsForIdle)
  }
}

/** The message groups of a queue: who has which, and what of them is on its way or waits. */
export class Groups {
  /** Groups whose members were set aside and may come up again. */
  readonly freed: Set<Group> = new Set()
  private readonly sticky: number
  private readonly known = new Map<number, Group>()
  private sweepAt: number
  private withAside = 0

  constructor(sticky: number = STICKY_GROUPS) {
    this.sticky = sticky
    this.sweepAt = sticky
  }

  get size(): number {
    return this.known.size
  }

  find(number: number): Group | undefined {
    return this.known.get(number)
  }

  get(number: number): Group {
    let group = this.known.get(number)
    if (group === undefined) {
      group = new Group(number)
      this.known.set(number, group)
    }
    return group
  }

  /** A member has gone from one state of the lifecycle to another. */
  changed(number: number, before: number, after: number): void {
    if (number === 0) return
    // What makes the others wait comes first: nobody is freed for a moment in between.
    if (after === ACQUIRED) this.acquired(this.get(number))
    else if (after === WAITING) this.get(number).parked++
    if (before === ACQUIRED) this.settled(this.get(number))
    else if (before === WAITING) this.unparked(number)
  }

  /** A member was found waiting, after a start. */
  foundParked(number: number): void {
    if (number > 0) this.get(number).parked++
  }

  unparked(number: number): void {
    if (number === 0) return
    const group = this.get(number)
    group.parked--
    this.check(group)
  }

  assign(group: Group, consumer: Consumer | null): void {
    if (group.owner !== null) group.owner.groups--
    group.owner = consumer
    if (consumer !== null) consumer.groups++
  }

  /** The member at this position has to wait with its group. */
  setAside(group: Group, position: number): void {
    if (group.aside === null) {
      group.aside = new Row(END, false, () => this.check(group))
      this.withAside++
    }
    group.aside.offer(position, this.asideLimit)
    this.check(group)
  }

  get asideLimit(): number {
    return Math.max(2, Math.floor(ASIDE / Math.max(1, this.withAside)))
  }

  /** Takes what was set aside; the group still waits from the horizon of `aside` on when that is not whole. */
  release(group: Group): number[] {
    const { aside } = group
    if (aside === null) return []
    const positions = aside.takeAll()
    group.waitsForIdle = false
    if (aside.horizon === END) this.dropAside(group)
    return positions
  }

  /** Nobody consumes any more: whoever comes looks at everything anew. */
  forgetAside(): void {
    this.freed.clear()
    for (const group of this.known.values()) this.dropAside(group)
  }

  /** Forgets groups of which nothing is on its way or about to be, those that rested longest first, when there are many. */
  sweep(): void {
    if (this.known.size <= this.sweepAt) return
    for (const group of this.known.values()) {
      if (this.known.size <= this.sticky * 0.9) break
      // Members may be among what is kept for its consumer; another's must not overtake them.
      if (!group.isIdle || !isClear(group.owner?.own ?? null)) continue
      this.known.delete(group.number)
      if (group.owner !== null) group.owner.groups--
    }
    this.sweepAt = Math.max(this.sticky, this.known.size * 1.25)
  }

  private dropAside(group: Group): void {
    if (group.aside === null) return
    group.aside = null
    group.waitsForIdle = false
    this.withAside--
  }

  private acquired(group: Group): void {
    if (group.unsettled++ > 0) return
    // It is the last to be forgotten.
    this.known.delete(group.number)
    this.known.set(group.number, group)
  }

  private settled(group: Group): void {
    group.unsettled--
    this.check(group)
  }

  private check(group: Group): void {
    if (group.aside !== null && group.mayGoOn) this.freed.add(group)
  }
}
