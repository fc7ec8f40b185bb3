import type { MillraceError } from '../model/errors.ts'
import type { MessageConsumer } from './consumer.ts'
import type { Message } from './message.ts'

/** Who decides at every moment how many messages he takes. */
export interface FeedListener {
  /** A message may be taken, or the broker has ended the consumer. */
  available(): void
  /** A delivery that was taken is not held any more; undefined: none of them is. */
  forfeited(tag: number | undefined, why: MillraceError): void
  /** Resolves when nothing is being done with messages; waited for before the session closes. */
  idle(): Promise<void>
}

/**
 * The messages of a consumer whose credit is in the hands of whoever takes them: so many are fetched as were asked for, and what
 * is not asked for stays with the broker, where others can have it. See MessageConsumer.feed.
 */
export class Feed<T = unknown> {
  private readonly consumer: MessageConsumer<T>

  /** @internal */
  constructor(consumer: MessageConsumer<T>) {
    this.consumer = consumer
  }

  /** What ended the consumer from the broker's side. */
  get error(): MillraceError | undefined {
    return this.consumer.error
  }

  /** Messages that were asked for and have not come, or have come and have not been taken. */
  get coming(): number {
    return this.consumer.coming
  }

  /** Those of them that have come and are of these groups. */
  countOf(groups: ReadonlySet<string>): number {
    return this.consumer.countFetched(groups)
  }

  /** So many more may come. */
  grant(count: number): void {
    this.consumer.grantCredit(count)
  }

  /** Takes back what was granted. Resolves when what was on its way has come, and nothing more does. */
  drain(): Promise<void> {
    return this.consumer.drainCredit()
  }

  /** The next message that has come, of none of these groups; it is to be settled by whoever takes it. */
  take(busy?: ReadonlySet<string>): Message<T> | undefined {
    return this.consumer.take(busy)
  }

  /** False when the body does not fit the schema: the message has then been dead-lettered. */
  admit(message: Message<T>): boolean | Promise<boolean> {
    return this.consumer.admit(message)
  }

  /** What has come and was not taken goes back to the broker. */
  giveBack(): void {
    this.consumer.giveBackFetched()
  }
}
