/** A message that has a key in a queue which keeps the last value of each. */
export interface Value {
  readonly lsn: number
  readonly key: string
  readonly priority: number
  readonly size: number
  /** Of level 'memory'. */
  readonly isVolatile: boolean
  /** Not, or no longer, part of an open transaction or a half message. */
  isDecided: boolean
  /** A later one has replaced it. What somebody holds is settled as ever, and never comes back. */
  isOutdated: boolean
  /** The one that did survives a restart. */
  isOutdatedForGood: boolean
  /** It has come, and what it will replace is there still: that takes no room. */
  replaces: Value | null
  /** The one that will replace it. */
  successor: Value | null
}

export function newValue(
  facts: Pick<Value, 'lsn' | 'key' | 'priority' | 'size'>,
  isVolatile: boolean,
): Value {
  return {
    ...facts,
    isVolatile,
    isDecided: false,
    isOutdated: false,
    isOutdatedForGood: false,
    replaces: null,
    successor: null,
  }
}

/**
 * The messages of a queue by their keys: of those with one key the last in the order of the queue's LSNs is its value. As
 * many are known as are in the queue.
 */
export class LastValues {
  /** Its value is the key. */
  readonly property: string
  private readonly values = new Map<number, Value>()
  private readonly newest = new Map<string, Value>()
  /** The last of each key that does not count yet, because it is not visible. */
  private readonly coming = new Map<string, Value>()
  /** Outdated, though not for good: by key. */
  private readonly outdatedForNow = new Map<string, Value[]>()
  /** Not visible yet, part of an open transaction, or half: by key. A later one that counts outdates them before they count. */
  private readonly uncounted = new Map<string, Value[]>()
  /** Messages, and their bytes, whose successors are there and do not count yet. */
  replacing = 0
  replacingBytes = 0

  constructor(property: string) {
    this.property = property
  }

  get size(): number {
    return this.values.size
  }

  add(value: Value): void {
    this.values.set(value.lsn, value)
    append(this.uncounted, value)
  }

  get(lsn: number): Value | undefined {
    return this.values.get(lsn)
  }

  /** What a message of this key that comes now will replace, unless somebody holds it. */
  before(key: string): Value | undefined {
    return this.coming.get(key) ?? this.newest.get(key)
  }

  /** It waits to be visible; `replaced` will leave then. */
  expect(value: Value, replaced: Value | undefined): void {
    this.coming.set(value.key, value)
    if (replaced === undefined) return
    value.replaces = replaced
    replaced.successor = value
    this.replacing++
    this.replacingBytes += replaced.size
  }

  /** It counts from now on; answers what is outdated by that: an earlier one, or itself. */
  count(value: Value): Value | undefined {
    this.expectNoMore(value)
    remove(this.uncounted, value)
    if (!value.isVolatile) this.outdateForGood(value)
    // By one that may have left since.
    if (value.isOutdated) return value
    const other = this.newest.get(value.key)
    const isLast = other === undefined || other.lsn < value.lsn
    if (isLast) this.newest.set(value.key, value)
    for (const one of this.uncounted.get(value.key) ?? []) if (one.lsn < value.lsn) this.outdate(one, value)
    const outdated = isLast ? other : value
    if (outdated !== undefined) this.outdate(outdated, isLast ? value : other!)
    return outdated
  }

  private outdate(value: Value, by: Value): void {
    if (value.isOutdated) return
    value.isOutdated = true
    value.isOutdatedForGood = !by.isVolatile
    if (!value.isOutdatedForGood) append(this.outdatedForNow, value)
  }

  /** What only one of level 'memory' has outdated, and somebody holds, would come back after a restart otherwise. */
  private outdateForGood({ key, lsn }: Value): void {
    const others = this.outdatedForNow.get(key)
    if (others === undefined) return
    for (const other of [...others]) {
      if (other.lsn > lsn) continue
      other.isOutdatedForGood = true
      remove(this.outdatedForNow, other)
    }
  }

  isOutdated(lsn: number): boolean {
    return this.values.get(lsn)?.isOutdated === true
  }

  /** The message has left the queue. */
  gone(lsn: number): void {
    const value = this.values.get(lsn)
    if (value === undefined) return
    this.values.delete(lsn)
    this.expectNoMore(value)
    if (value.successor !== null) this.takeRoom(value.successor)
    if (this.newest.get(value.key) === value) this.newest.delete(value.key)
    remove(this.outdatedForNow, value)
    remove(this.uncounted, value)
  }

  outdated(): Value[] {
    return [...this.values.values()].filter((value) => value.isOutdated)
  }

  /** What survives a restart. */
  entries(): Value[] {
    return [...this.values.values()].filter((value) => !value.isVolatile)
  }

  private expectNoMore(value: Value): void {
    if (this.coming.get(value.key) === value) this.coming.delete(value.key)
    this.takeRoom(value)
  }

  /** What it was to replace has gone, or goes now, or is replaced by another. */
  private takeRoom(value: Value): void {
    const { replaces } = value
    if (replaces === null) return
    this.replacing--
    this.replacingBytes -= replaces.size
    replaces.successor = null
    value.replaces = null
  }
}

function append(rows: Map<string, Value[]>, value: Value): void {
  const row = rows.get(value.key)
  if (row === undefined) rows.set(value.key, [value])
  else row.push(value)
}

function remove(rows: Map<string, Value[]>, value: Value): void {
  const row = rows.get(value.key)
  const at = row?.indexOf(value) ?? -1
  if (at < 0) return
  if (row!.length === 1) rows.delete(value.key)
  else row!.splice(at, 1)
}
