/** Something that keeps time. */
export interface Ticked {
  /** The wheel's. */
  slot: number
  /** Looks at its deadlines at `now`; answers when to look again, Infinity for never. Monotonic milliseconds. */
  tick(now: number): number
}

const SLOTS = 32

/**
 * Looks after many that have something to do seldom: each stands in the slot of its time, and only those are looked at
 * whose time has come. What lies further ahead than the wheel is large is looked at once a turn.
 */
export class TickWheel {
  /** Milliseconds. */
  private readonly width: number
  private readonly slots: Ticked[][] = Array.from({ length: SLOTS }, () => [])
  /** Number of the slot that was looked at last, counted from the beginning, and the time of its end. */
  private at = 0
  private reached: number

  constructor(width: number, now: number) {
    this.width = width
    this.reached = now
  }

  add(one: Ticked, due: number): void {
    const ahead = Math.ceil((due - this.reached) / this.width)
    one.slot = (this.at + Math.max(1, Math.min(SLOTS - 1, ahead))) % SLOTS
    this.slots[one.slot]!.push(one)
  }

  /** It is to be looked at with the next turn. */
  hurry(one: Ticked): void {
    this.add(one, this.reached)
  }

  /** To be called about as often as a slot is wide; later calls make up for what was left out. */
  turn(now: number): void {
    const passed = Math.floor((now - this.reached) / this.width)
    this.reached += passed * this.width
    for (let left = Math.min(passed, SLOTS); left > 0; left--) this.look(now, left - 1)
  }

  /** `behind`: slots that are still to be looked at. */
  private look(now: number, behind: number): void {
    this.at = (this.at + 1) % SLOTS
    const slot = this.slots[this.at]!
    this.slots[this.at] = []
    for (const one of slot) {
      // It has been moved meanwhile.
      if (one.slot !== this.at) continue
      const due = one.tick(now)
      one.slot = -1
      if (due !== Number.POSITIVE_INFINITY) this.add(one, due + behind * this.width)
    }
  }
}
