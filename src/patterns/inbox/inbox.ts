import type { Context } from '../../client/context.ts'
import type { Queue } from '../../client/destinations.ts'
import { type Duration, milliseconds } from '../../model/duration.ts'
import { MillraceError } from '../../model/errors.ts'
import type { QueuePolicy } from '../../model/policy.ts'
import type { Database } from '../database/database.ts'
import { checkSchema } from '../database/migrations.ts'
import { Sweeper } from '../database/sweeper.ts'
import { type Explanation, inWords } from '../explain/explanation.ts'
import { explainInbox, retentionProblem } from './explain.ts'
import { Records } from './records.ts'
import { type Horizon, redeliveryHorizon } from './retention.ts'
import { inboxSchema } from './schema.ts'

export interface InboxOptions<Native = unknown> {
  readonly database: Database<Native>
  /**
   * Who consumes: two consumers of one message each have an effect of their own, processes of one consumer share theirs. At
   * most 255 bytes.
   */
  readonly consumer: string
  /** What the messages come from, by whose policy it is known for how long one may come again. Default: the broker's. */
  readonly from?: { readonly policy?: Partial<QueuePolicy> | undefined } | undefined
  /** How long a message is remembered that has been processed. Default 7 days. */
  readonly retention?: Duration | undefined
  /** Until how long after they have failed dead letters may be redriven. Default 3 days. */
  readonly redriveWithin?: Duration | undefined
}

export interface InboxStatistics {
  /** Messages that had an effect. */
  readonly processed: number
  /** Deliveries of messages that had had theirs; they were accepted, and had no other. */
  readonly duplicates: number
  /** Deliveries that another one had taken over from; their effects were rolled back. */
  readonly superseded: number
  /** Messages that were forgotten after their time. */
  readonly swept: number
}

/** What one consumer has processed, in the database in which it has its effects. */
export class Inbox<Native = unknown> {
  readonly consumer: string
  /** @internal */
  readonly database: Database<Native>
  /** @internal */
  readonly records: Records
  readonly statistics: { -readonly [K in keyof InboxStatistics]: InboxStatistics[K] } = {
    processed: 0,
    duplicates: 0,
    superseded: 0,
    swept: 0,
  }
  /** Milliseconds. @internal */
  readonly retention: number
  /** Milliseconds. @internal */
  readonly redriveWithin: number
  /** @internal */
  readonly horizon: Horizon
  private readonly sweeper: Sweeper

  /** @internal */
  constructor(options: InboxOptions<Native>) {
    const { database, consumer, from, retention = '7d', redriveWithin = '3d' } = options
    if (typeof consumer !== 'string' || consumer === '' || Buffer.byteLength(consumer) > 255)
      throw new MillraceError('argument-invalid', 'the consumer of an inbox has a name of 1 to 255 bytes')
    this.consumer = consumer
    this.database = database
    this.retention = Math.ceil(milliseconds(retention))
    this.redriveWithin = milliseconds(redriveWithin)
    this.horizon = redeliveryHorizon(from?.policy)
    this.records = new Records(database, consumer)
    this.sweeper = new Sweeper(this.records, this.retention, (count) => {
      this.statistics.swept += count
    })
    warn(this.retentionProblem())
  }

  /** What is wrong with the retention; undefined: a message is remembered for longer than it may come again. */
  private retentionProblem(): string | undefined {
    const { redelivery } = this.horizon
    if (this.retention > redelivery + this.redriveWithin) return undefined
    const [kept, again, redrive] = [this.retention, redelivery, this.redriveWithin].map(inWords)
    return `the inbox of ${this.consumer} forgets messages after ${kept}, but one may be redelivered for ${again}, and redriven for ${redrive} after that: it would be processed twice`
  }

  /**
   * Compares the retention with the policies that the broker has for this queue and its dead-letter queue. Answers, and
   * emits as a process warning, what is wrong; undefined: nothing, as far as the broker tells. Rejects as
   * ProviderManagement.queues.
   */
  async check(mq: Context, queue: Queue<never, unknown>): Promise<string | undefined> {
    return warn(await retentionProblem(this, mq, queue))
  }

  /**
   * What messages of this queue that are processed by it may lose, or do twice, in which order, until when, as the broker is
   * configured. Rejects as ProviderManagement.queues.
   */
  explain(mq: Context, queue: Queue<never, unknown>): Promise<Explanation> {
    return explainInbox(this, mq, queue)
  }

  /** A message has been dealt with: from time to time old ones are forgotten. @internal */
  turn(): void {
    this.sweeper.turn()
  }
}

function warn(problem: string | undefined): string | undefined {
  if (problem !== undefined)
    process.emitWarning(problem, { type: 'MillraceWarning', code: 'inbox-retention' })
  return problem
}

/** Rejects with `schema-missing`, `schema-older` or `schema-newer` unless `migrate` has made its tables, and as Database.execute. */
export async function openInbox<Native>(options: InboxOptions<Native>): Promise<Inbox<Native>> {
  await checkSchema(options.database, inboxSchema)
  const inbox = new Inbox(options)
  await inbox.records.clock()
  return inbox
}
