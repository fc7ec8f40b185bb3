import { randomBytes } from 'node:crypto'
import type { Context } from '../../client/context.ts'
import { assertSendable, type Sendable, type TypedDestination } from '../../client/destinations.ts'
import { makeOutgoing, type SendDefaults, type SendOptions } from '../../client/outgoing.ts'
import { describeIssues } from '../../client/standard-schema.ts'
import { MillraceError } from '../../model/errors.ts'
import { IdSeries } from '../../model/message.ts'
import { type Database, type Executor, wholeNumber } from '../database/database.ts'
import { checkSchema } from '../database/migrations.ts'
import type { Explanation } from '../explain/explanation.ts'
import { Claims } from './claims.ts'
import { explainOutbox } from './explain.ts'
import { type HalfMessageOptions, HalfMessages, type OutboxTransaction } from './half-messages.ts'
import { Relay } from './relay.ts'
import { configureRelay, type RelayConfiguration, type RelayOptions } from './relay-options.ts'
import { type OutboxReport, type ResendReport, report, sendAll } from './repair.ts'
import { LANE_LOCKS, outboxSchema } from './schema.ts'
import { type Statements, statementsFor } from './statements.ts'
import { storedForm } from './stored-message.ts'

export interface OutboxOptions<Native = unknown> {
  readonly database: Database<Native>
  /**
   * A message is refused when it is larger, headers and body together. Default 8 MiB, or less where the database takes less
   * (`max_allowed_packet` of MySQL and MariaDB).
   */
  readonly maxMessageBytes?: number | undefined
  /** For `transaction`: messages are prepared at the broker instead of stored in the database. */
  readonly halfMessages?: HalfMessageOptions | undefined
}

export interface OutboxSendOptions extends Omit<SendOptions, 'sequence' | 'signal'> {
  /**
   * Messages of one key are sent in the order in which their transactions were committed, and none while an earlier one is
   * not confirmed; it is their message group too, unless `group` says otherwise. Transactions that send under the same key
   * wait for each other. At most 255 bytes. Default: none, and no order.
   */
  readonly key?: string | undefined
}

/** What sends the messages of an outbox in this process. */
export interface Relaying {
  /** Something has been committed. */
  wake(): void
  /** Something may be committed soon. */
  expect(): void
  /** The outbox is closed. */
  close(): Promise<void>
}

const defaults: SendDefaults = { durability: 'disk', priority: 4, ttl: 0, delay: 0, wall: Date.now }
const MAX_NAME = 255
const MAX_MESSAGE_BYTES = 8 * 2 ** 20
/** What a statement that stores a message has beside it: its id, its key, the name of its destination, and the words. */
const BESIDE = 16_384

/**
 * Messages that are sent if, and only if, a transaction of the application's is committed: they are rows of the same
 * database until a relay has sent them and the broker has confirmed them. Each arrives at least once, under one message id.
 */
export class Outbox<Native = unknown> implements AsyncDisposable {
  private readonly database: Database<Native>
  private readonly statements: Statements
  private readonly maxMessageBytes: number
  private readonly series = new IdSeries(`ID:${randomBytes(9).toString('base64url')}-`)
  private stored = 0
  private readonly relays: Map<Relaying, RelayConfiguration> = new Map()
  /** Set when it is opened. @internal */
  halfMessages: HalfMessages<Native> | undefined

  /** @internal */
  constructor(options: OutboxOptions<Native>) {
    const { database, maxMessageBytes = MAX_MESSAGE_BYTES } = options
    this.database = database
    this.statements = statementsFor(database.dialect)
    this.maxMessageBytes = maxMessageBytes
  }

  /**
   * Stores the message in the transaction that `tx` speaks for. When that is committed, the message will arrive; when it is
   * not, it never existed. Answers its id, by default one of its own, which also is its deduplication id. Rejects, and
   * leaves to the application what becomes of the transaction, with `destination-invalid`, `message-invalid`,
   * `message-format-invalid`, `schedule-invalid`, `argument-invalid`, `message-too-large`, `database-duplicate` when a
   * message of this id is there, and as Executor.execute.
   */
  async send<T>(
    tx: Executor,
    destination: Sendable<T>,
    body: NoInfer<T>,
    options: OutboxSendOptions = {},
  ): Promise<{ readonly messageId: string }> {
    const { key = '', ...rest } = options
    const number = this.stored++
    const messageId = checkName('messageId', options.messageId ?? this.series.idOf(number))
    await checkBody(destination, body)
    const sending: SendOptions = {
      deduplicationId: messageId,
      group: key === '' ? undefined : key,
      ...rest,
      messageId,
    }
    const stored = storedForm(
      destination,
      makeOutgoing(destination, body, sending, defaults, this.series, number),
    )
    const size = stored.body.length + Buffer.byteLength(stored.headers)
    if (size > this.maxMessageBytes)
      throw new MillraceError(
        'message-too-large',
        `the message has ${size} bytes; the outbox takes ${this.maxMessageBytes}`,
      )
    if (key !== '') await this.lockLane(tx, checkName('key', key))
    const { destination: name, headers, body: bytes } = stored
    await tx.execute(this.statements.insert, [messageId, key, name, headers, bytes, size])
    this.announce(tx)
    return { messageId }
  }

  private async lockLane(tx: Executor, key: string): Promise<void> {
    const { lockLane } = this.statements
    if (lockLane === undefined) return
    const named = this.database.dialect.lockName !== undefined
    await tx.execute(lockLane, [named ? key : laneOf(key)])
  }

  /** Relays of this process need not wait until they look again. */
  private announce(tx: Executor): void {
    if (tx.onCommit) tx.onCommit(() => this.committed())
    else for (const relay of this.relays.keys()) relay.expect()
  }

  /** A transaction that has sent something was committed: relays of this process look at once. */
  committed(): void {
    for (const relay of this.relays.keys()) relay.wake()
  }

  /**
   * Starts to send what is, and will be, in the outbox. Any number of relays may do so, in any number of processes. Rejects
   * as Context.createProducer, and with `argument-invalid`, `duration-invalid`.
   */
  async relay(mq: Context, options: RelayOptions = {}): Promise<Relay> {
    const configuration = configureRelay(options)
    const relay = await Relay.start(mq, this.claims(), configuration, (left) => this.detach(left))
    this.attach(relay, configuration)
    return relay
  }

  /** @internal */
  attach(relay: Relaying, configuration: RelayConfiguration): void {
    this.relays.set(relay, configuration)
  }

  /** @internal */
  detach(relay: Relaying): void {
    this.relays.delete(relay)
  }

  /** @internal */
  claims(): Claims {
    return new Claims(this.database, this.statements)
  }

  /**
   * The second way: `work` runs in a transaction of its own, what it sends is prepared at the broker at once, and sent when
   * the transaction is committed; when the process dies in between, the broker asks any process of the group what became of
   * it. No row of a message is written and no relay is needed, but the broker has to be there. Resolves when the transaction
   * is committed. Rejects with what `work` throws, as Database.transaction, with `superseded` when it took longer than
   * `commitWithin`, and with `illegal-state` when the outbox was opened without `halfMessages`.
   */
  transaction<R>(work: (transaction: OutboxTransaction<Native>) => R | Promise<R>): Promise<R> {
    if (this.halfMessages) return this.halfMessages.transaction(work)
    const why = 'the outbox was opened without halfMessages: { mq, producerGroup }'
    return Promise.reject(new MillraceError('illegal-state', why))
  }

  /** What is promised of messages that are sent through it, as it is configured. */
  explain(): Explanation {
    return explainOutbox({
      relays: [...this.relays.values()],
      maxMessageBytes: this.maxMessageBytes,
      commitWithin: this.halfMessages?.commitWithin,
      database: this.database.dialect.name,
    })
  }

  /** Closes its relays, and answers for no half messages any more. */
  async close(): Promise<void> {
    await Promise.all([...this.relays.keys()].map((relay) => relay.close()))
    await this.halfMessages?.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** What was committed and is not confirmed, for people: in figures, and the first `limit` messages (100). */
  report(options: { readonly limit?: number | undefined } = {}): Promise<OutboxReport> {
    const { limit = 100 } = options
    if (!(Number.isSafeInteger(limit) && limit >= 0))
      throw new MillraceError('argument-invalid', `limit is a whole number, not ${limit}`)
    return report(this.database, this.statements, limit)
  }

  /**
   * Sends what is in the outbox now, whether a relay is running or not: all of it, those too that would be tried again
   * later only; or, with `messageId`, what is due and that one. Rejects as Executor.execute, and with what keeps the broker
   * away; what has not been sent then stays.
   */
  async resend(
    mq: Context,
    options: { readonly messageId?: string | undefined } & RelayOptions = {},
  ): Promise<ResendReport> {
    const { messageId, ...relay } = options
    const configuration = configureRelay(relay)
    if (messageId === undefined) await this.database.execute(this.statements.retryAll)
    else await this.database.execute(this.statements.retry, [messageId])
    const totals = await sendAll(mq, this.claims(), configuration)
    const { messages } = await this.report({ limit: 0 })
    return { ...totals, left: messages }
  }

  /** Gives a message up: it will not be sent any more. False: there is none of this id, any more. */
  async discard(messageId: string): Promise<boolean> {
    return (await this.database.execute(this.statements.discard, [messageId])).affected > 0
  }
}

/**
 * Rejects with `schema-missing`, `schema-older` or `schema-newer` unless `migrate` has made its tables, as Database.execute,
 * and, with half messages, as Context.answerChecks.
 */
export async function openOutbox<Native>(options: OutboxOptions<Native>): Promise<Outbox<Native>> {
  const { database, halfMessages, maxMessageBytes = MAX_MESSAGE_BYTES } = options
  await checkSchema(database, outboxSchema)
  const most = Math.min(maxMessageBytes, await mostBytes(database))
  const outbox = new Outbox<Native>({ ...options, maxMessageBytes: most })
  if (halfMessages)
    outbox.halfMessages = await HalfMessages.open(database, statementsFor(database.dialect), halfMessages)
  return outbox
}

/** A message that is larger would look as if the connection had been lost. */
async function mostBytes(database: Database): Promise<number> {
  const { longestStatement } = database.dialect
  if (longestStatement === undefined) return Number.POSITIVE_INFINITY
  const { rows } = await database.execute(longestStatement)
  return wholeNumber(rows[0]!['bytes']) - BESIDE
}

async function checkBody(destination: Sendable<never>, body: unknown): Promise<void> {
  assertSendable(destination)
  const members: readonly TypedDestination<never>[] =
    destination.kind === 'composite' ? destination.members : [destination]
  for (const { schema } of members) {
    const result = await schema?.['~standard'].validate(body)
    if (result?.issues)
      throw new MillraceError(
        'message-invalid',
        `the body does not fit the schema: ${describeIssues(result.issues)}`,
      )
  }
}

function checkName(option: string, value: string): string {
  if (typeof value === 'string' && value !== '' && Buffer.byteLength(value) <= MAX_NAME) return value
  throw new MillraceError(
    'argument-invalid',
    `${option} is a text of 1 to ${MAX_NAME} bytes, not ${JSON.stringify(value)?.slice(0, 60)}`,
  )
}

/** FNV-1a. */
function laneOf(key: string): number {
  let hash = 0x811c9dc5
  for (const byte of Buffer.from(key)) hash = Math.imul(hash ^ byte, 0x01000193)
  return (hash >>> 0) % LANE_LOCKS
}
