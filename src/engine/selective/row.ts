/** Room for LSNs below a priority: 2^49 of them, and ten priorities, fit in the exact integers. */
const LANE = 2 ** 49
const MOST_URGENT = 9

/** Before the first message of a queue, and behind the last one. */
export const START = 0
export const END: number = Number.POSITIVE_INFINITY

/** The place of a message in the order in which a queue's messages go out, as one number: most urgent first, then oldest. */
export function positionOf(priority: number, lsn: number): number {
  return (MOST_URGENT - priority) * LANE + lsn
}

export function priorityOf(position: number): number {
  return MOST_URGENT - Math.floor(position / LANE)
}

export function lsnOf(position: number): number {
  return position % LANE
}

/** The first position of the next less urgent priority. */
export function lessUrgentThan(position: number): number {
  return (Math.floor(position / LANE) + 1) * LANE
}

/**
 * The next messages for somebody who does not want all of them: their positions, in order, up to a limit. Whatever lies
 * before `horizon` and belongs here is here; what lies behind has to be found by a pass over the queue.
 */
export class Row {
  horizon: number
  /** A pass fills it at the moment. */
  scanning = false
  /** What belongs here depends on what the messages say, and not only on their entries. */
  readonly byValue: boolean
  /** Called when a position was added, or a pass got to an end: whoever waits for this row can go on. */
  readonly gained: () => void
  private positions: number[] = []
  private head = 0

  constructor(horizon: number, byValue: boolean, gained: () => void) {
    this.horizon = horizon
    this.byValue = byValue
    this.gained = gained
  }

  get count(): number {
    return this.positions.length - this.head
  }

  /** The first position; END when there is none. */
  get first(): number {
    return this.positions[this.head] ?? END
  }

  /** The first position at or after `position`; END when there is none. */
  firstFrom(position: number): number {
    return this.positions[this.search(position)] ?? END
  }

  /** Up to `count` positions from `position` on. */
  following(position: number, count: number): number[] {
    const from = this.search(position)
    return this.positions.slice(from, from + count)
  }

  /** Takes a position that belongs here, unless it lies behind the horizon. The last one of too many gives way. */
  offer(position: number, limit: number): void {
    if (position >= this.horizon || !this.insert(position)) return
    if (this.count > limit) this.horizon = this.positions.pop()!
    this.gained()
  }

  remove(position: number): void {
    const at = this.search(position)
    if (this.positions[at] !== position) return
    if (at !== this.head) this.positions.splice(at, 1)
    else if (++this.head === this.positions.length) this.clear()
    else if (this.head > 1024 && this.head * 2 > this.positions.length) this.compact()
  }

  /** From `position` on a pass has to look again. */
  cut(position: number): void {
    if (position >= this.horizon) return
    this.horizon = position
    this.positions.length = this.search(position)
    if (this.head === this.positions.length) this.clear()
  }

  takeAll(): number[] {
    const taken = this.positions.slice(this.head)
    this.clear()
    return taken
  }

  private clear(): void {
    this.positions = []
    this.head = 0
  }

  private compact(): void {
    this.positions = this.positions.slice(this.head)
    this.head = 0
  }

  /** False when it is here already. */
  private insert(position: number): boolean {
    const { positions } = this
    const last = positions[positions.length - 1]
    if (last === undefined || position > last) {
      positions.push(position)
      return true
    }
    const at = this.search(position)
    if (positions[at] === position) return false
    positions.splice(at, 0, position)
    return true
  }

  /** Index of the first position that is not before `position`. */
  private search(position: number): number {
    const { positions } = this
    let low = this.head
    if (low === positions.length || positions[low]! >= position) return low
    let high = positions.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (positions[middle]! < position) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** Whether a row that may not exist has nothing, and nothing that it has to look for. */
export function isClear(row: Row | null): boolean {
  return row === null || (row.count === 0 && row.horizon === END)
}
