import { equalityKey, type PropertyLookup, type Selector } from '../../model/selector/selector.ts'
import type { Rotation } from '../choice.ts'
import type { Consumer } from '../consumer.ts'
import { END, lsnOf, Row, START } from './row.ts'

/** What one or several consumers of a queue want: the messages that a selector chooses, or all of them. */
export class Interest implements Rotation {
  /** Null: everything. */
  readonly selector: Selector | null
  readonly row: Row
  consumers: Consumer[] = []
  turn = 0
  /** Messages that those of its consumers who had credit have refused to see again. Null while there never were any. */
  declined: Row | null = null
  /** The first message that all of its consumers have refused to see again. */
  refused: number = END

  constructor(selector: Selector | null, gained: (interest: Interest) => void) {
    this.selector = selector
    this.row = new Row(START, selector !== null, () => gained(this))
  }

  /** Somebody with credit refused the message at this position; somebody else may take it. */
  decline(position: number, limit: number): void {
    this.row.remove(position)
    if (this.consumers.every((consumer) => consumer.cancelled || consumer.excluded?.has(lsnOf(position)))) {
      this.refused = Math.min(this.refused, position)
      return
    }
    this.declined ??= new Row(END, true, () => {})
    this.declined.offer(position, limit)
  }

  /** When all that was declined has gone to somebody, the pass looks for what there was no room to remember. */
  declinedIsOver(): void {
    const { declined } = this
    if (declined === null || declined.count > 0) return
    this.row.cut(declined.horizon)
    this.declined = null
  }

  /** Higher priorities come first. */
  join(consumer: Consumer): void {
    const after = this.consumers.findIndex(({ priority }) => priority < consumer.priority)
    this.consumers.splice(after < 0 ? this.consumers.length : after, 0, consumer)
  }

  /** The highest among its consumers with credit. */
  get priority(): number {
    return this.consumers.find(({ hungry }) => hungry)?.priority ?? Number.NEGATIVE_INFINITY
  }

  get isHungry(): boolean {
    return this.consumers.some((consumer) => consumer.hungry)
  }
}

/**
 * The interests of a queue's consumers, arranged so that a message finds those that it matches: by the values of identifiers
 * that must equal a constant, and one after the other where a selector asks for nothing of that kind.
 */
export class Interests {
  /** Of consumers without a selector. */
  all: Interest | null = null
  private readonly selective = new Map<string, Interest>()
  private readonly equal = new Map<string, Map<string, Set<Interest>>>()
  private readonly linear = new Set<Interest>()

  get size(): number {
    return this.selective.size + (this.all === null ? 0 : 1)
  }

  get hasSelective(): boolean {
    return this.selective.size > 0
  }

  /** Consumers whose selectors mean the same share an interest. */
  find(selector: Selector | null): Interest | null {
    return selector === null ? this.all : (this.selective.get(selector.canonical) ?? null)
  }

  add(interest: Interest): void {
    const { selector } = interest
    if (selector === null) {
      this.all = interest
      return
    }
    this.selective.set(selector.canonical, interest)
    const { equality } = selector
    if (equality === undefined) {
      this.linear.add(interest)
      return
    }
    for (const key of keysOf(equality.values)) this.bucket(equality.identifier, key).add(interest)
  }

  remove(interest: Interest): void {
    const { selector } = interest
    if (selector === null) {
      this.all = null
      return
    }
    this.selective.delete(selector.canonical)
    this.linear.delete(interest)
    const { equality } = selector
    if (equality === undefined) return
    for (const key of keysOf(equality.values)) {
      this.bucket(equality.identifier, key).delete(interest)
      this.forgetEmpty(equality.identifier, key)
    }
  }

  *[Symbol.iterator](): Generator<Interest> {
    if (this.all !== null) yield this.all
    yield* this.selective.values()
  }

  /** Fills `into` with the interests in a message. */
  match(lookup: PropertyLookup, into: Interest[]): void {
    into.length = 0
    if (this.all !== null) into.push(this.all)
    for (const [identifier, byValue] of this.equal) {
      const key = equalityKey(lookup(identifier))
      const interests = key === undefined ? undefined : byValue.get(key)
      if (interests === undefined) continue
      for (const interest of interests) {
        if (interest.selector!.equalityOnly || interest.selector!.matches(lookup)) into.push(interest)
      }
    }
    for (const interest of this.linear) if (interest.selector!.matches(lookup)) into.push(interest)
  }

  private bucket(identifier: string, key: string): Set<Interest> {
    let byValue = this.equal.get(identifier)
    if (byValue === undefined) {
      byValue = new Map()
      this.equal.set(identifier, byValue)
    }
    let interests = byValue.get(key)
    if (interests === undefined) {
      interests = new Set()
      byValue.set(key, interests)
    }
    return interests
  }

  private forgetEmpty(identifier: string, key: string): void {
    const byValue = this.equal.get(identifier)!
    if (byValue.get(key)!.size === 0) byValue.delete(key)
    if (byValue.size === 0) this.equal.delete(identifier)
  }
}

function keysOf(values: readonly unknown[]): Set<string> {
  return new Set(values.map(equalityKey).filter((key) => key !== undefined))
}
