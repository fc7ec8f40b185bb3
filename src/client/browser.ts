import type { Connection } from './connection.ts'
import type { Queue } from './destinations.ts'
import { BrowsedMessage } from './message.ts'

const PAGE = 100

/** The messages of a queue in its order, without taking them (JMS QueueBrowser). Each iteration begins at the head. */
export class QueueBrowser<Output = unknown> implements AsyncIterable<BrowsedMessage<Output>> {
  readonly queue: Queue<never, Output>
  private readonly connection: Connection

  /** @internal */
  constructor(connection: Connection, queue: Queue<never, Output>) {
    this.connection = connection
    this.queue = queue
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<BrowsedMessage<Output>, void, undefined> {
    let after: string | undefined
    do {
      this.connection.assertOpen()
      const page = await this.connection.provided.browse(this.queue.name, after, PAGE)
      for (const message of page.messages) yield new BrowsedMessage<Output>(message, message.state)
      after = page.next
    } while (after !== undefined)
  }
}
