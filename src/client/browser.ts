import type { Connection } from './connection.ts'
import type { Queue } from './destinations.ts'
import { BrowsedMessage } from './message.ts'

const PAGE = 100

export interface BrowseOptions {
  /**
   * Only messages that it takes (docs/selectors.md); '' takes all. The first step of an iteration rejects with
   * `selector-invalid` when it cannot be read.
   */
  readonly selector?: string | undefined
}

/** The messages of a queue in its order, without taking them (JMS QueueBrowser). Each iteration begins at the head. */
export class QueueBrowser<Output = unknown> implements AsyncIterable<BrowsedMessage<Output>> {
  readonly queue: Queue<never, Output>
  private readonly connection: Connection
  private readonly selector: string | undefined

  /** @internal */
  constructor(connection: Connection, queue: Queue<never, Output>, options: BrowseOptions) {
    this.connection = connection
    this.queue = queue
    this.selector = options.selector || undefined
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<BrowsedMessage<Output>, void, undefined> {
    let after: string | undefined
    do {
      this.connection.assertOpen()
      const page = await this.connection.provided.browse(this.queue.name, after, PAGE, this.selector)
      for (const message of page.messages) yield new BrowsedMessage<Output>(message, message.state)
      after = page.next
    } while (after !== undefined)
  }
}
