import type { Consumer } from '../consumer.ts'
import type { Queue } from '../queue.ts'
import type { Group } from './groups.ts'
import { Interest, Interests } from './interests.ts'
import { END, Row, START } from './row.ts'

/** Positions in one row, at most and at least. */
const MAX_ROW = 4096
const MIN_ROW = 2

/** Who wants what of a queue in which somebody does not take everything, or messages belong to groups. */
export class Assortment {
  readonly queue: Queue
  readonly interests: Interests = new Interests()
  /** Ready messages that nobody has looked at since they came, or came back. */
  arrived: number[] = []
  /** Interests that may have a message for a consumer with credit. */
  readonly awake: Set<Interest> = new Set()
  /** Interests whose next messages cannot be seen yet: they are awake again when the store has got further. */
  readonly unseen: Set<Interest> = new Set()
  /** Consumers that may have credit for messages of their own. */
  readonly owed: Set<Consumer> = new Set()
  /** Rows that run short and are not whole: a pass over the queue goes on filling them. */
  readonly wanting: Set<Row> = new Set()
  /** Where that pass goes on. */
  passAt: number = START
  private readonly candidates: number

  /** `candidates`: positions that all rows together may have. */
  constructor(queue: Queue, candidates: number) {
    this.queue = queue
    this.candidates = candidates
  }

  /** Positions that one row may have. */
  get limit(): number {
    const share = Math.floor(this.candidates / (this.interests.size + this.queue.consumers.length))
    return Math.min(MAX_ROW, Math.max(MIN_ROW, share))
  }

  /** The message at this position has become ready. */
  arrive(position: number): void {
    this.arrived.push(position)
  }

  join(consumer: Consumer): void {
    let interest = this.interests.find(consumer.selector)
    if (interest === null) {
      interest = new Interest(consumer.selector, (gaining) => this.awake.add(gaining))
      this.interests.add(interest)
    }
    interest.row.cut(interest.refused)
    interest.refused = END
    interest.join(consumer)
    consumer.interest = interest
    this.awake.add(interest)
  }

  /** Its messages are the others'. */
  leave(consumer: Consumer): void {
    const { interest } = consumer
    if (interest === null) return
    this.retire(consumer)
    consumer.interest = null
    interest.consumers = interest.consumers.filter((other) => other !== consumer)
    interest.turn = 0
    if (interest.consumers.length > 0) return
    this.interests.remove(interest)
    this.awake.delete(interest)
    this.unseen.delete(interest)
    this.wanting.delete(interest.row)
  }

  /** It takes nothing more: what was kept for it goes back to where everybody finds it. */
  retire(consumer: Consumer): void {
    const { own } = consumer
    if (own === null) return
    consumer.own = null
    this.owed.delete(consumer)
    this.wanting.delete(own)
    this.giveUp(own)
  }

  /** The group is nobody's, and what was kept for its consumer is found by whoever comes next, in order. */
  takeBack(group: Group): void {
    const own = group.owner?.own ?? null
    this.queue.groups!.assign(group, null)
    if (own !== null) this.giveUp(own)
  }

  /** What was kept for a consumer, and what there was no room for, is to be found by everybody. */
  private giveUp(own: Row): void {
    for (const position of own.takeAll()) this.arrive(position)
    if (own.horizon === END) return
    for (const interest of this.interests) interest.row.cut(own.horizon)
    this.wakeAll()
  }

  /** The consumer has credit, or room for more bytes. */
  wake(consumer: Consumer): void {
    if (consumer.interest === null) return
    this.awake.add(consumer.interest)
    if (consumer.own !== null) this.owed.add(consumer)
  }

  wakeUnseen(): void {
    for (const interest of this.unseen) {
      this.awake.add(interest)
      for (const consumer of interest.consumers) if (consumer.own !== null) this.owed.add(consumer)
    }
    this.unseen.clear()
  }

  wakeAll(): void {
    for (const consumer of this.queue.consumers) if (consumer.hungry) this.wake(consumer)
  }

  /** The interest cannot go on before the row knows more; one that has enough waits until what it has can be seen. */
  want(row: Row, interest: Interest): void {
    if (this.runsShort(row)) this.wanting.add(row)
    else this.unseen.add(interest)
  }

  /** The message waits for this consumer. */
  keepFor(consumer: Consumer, position: number): void {
    consumer.own ??= new Row(END, consumer.selector !== null, () => this.owed.add(consumer))
    consumer.own.offer(position, this.limit)
  }

  /** Below this priority nobody is served yet, because somebody above has credit. */
  get urgency(): number {
    const { consumers } = this.queue
    let most = Number.NEGATIVE_INFINITY
    if (consumers[0]?.priority === consumers[consumers.length - 1]?.priority) return most
    for (const interest of this.awake) most = Math.max(most, interest.priority)
    return most
  }

  /** The row has few positions left, and a pass could find more. */
  runsShort(row: Row): boolean {
    return row.horizon < END && row.count * 4 <= this.limit
  }
}
