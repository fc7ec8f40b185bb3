import { randomUUID } from 'node:crypto'
import type { MessageConsumer } from '../../client/consumer.ts'
import type { MessageProducer } from '../../client/producer.ts'
import type { Session } from '../../client/session.ts'
import { tokenOf } from '../lock/token.ts'
import { ASKER, type Entry, type GateQueues } from './queues.ts'

/** Somebody may have purged the register: after so long an entry is made again. Milliseconds. */
const PATIENCE = 5_000

/** What is left of an asker that is gone goes after that. */
const KEPT = '1h'

/**
 * Numbers higher than every one that anybody has got before it was asked for, by an entry in the register, which comes back
 * with the number that the broker has given it.
 */
export class Tokens {
  private readonly producer: MessageProducer<Entry>
  private readonly consumer: MessageConsumer<Entry>
  private readonly asker: string

  private constructor(producer: MessageProducer<Entry>, consumer: MessageConsumer<Entry>, asker: string) {
    this.producer = producer
    this.consumer = consumer
    this.asker = asker
  }

  /** In a session of which nothing else is received. */
  static async open(session: Session, { register }: GateQueues): Promise<Tokens> {
    const asker = randomUUID()
    const producer = await session.createProducer(register, { ttl: KEPT })
    const consumer = await session.createConsumer(register, {
      prefetch: 1,
      selector: `${ASKER} = '${asker}'`,
    })
    return new Tokens(producer, consumer, asker)
  }

  /** Rejects with what sends and consumers reject with. */
  async next(): Promise<number> {
    for (;;) {
      const { messageId } = await this.producer.send({}, { properties: { [ASKER]: this.asker } })
      for (;;) {
        const entry = await this.consumer.receive({ timeout: PATIENCE })
        if (!entry) break
        // It has done its work, and the next one replaces it if this is in vain.
        entry.acknowledge().catch(() => {})
        if (entry.messageId === messageId) return tokenOf(entry)
      }
    }
  }
}
