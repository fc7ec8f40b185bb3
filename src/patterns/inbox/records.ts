import { MillraceError } from '../../model/errors.ts'
import type { Database, Executor, Row, SqlValue } from '../database/database.ts'
import { text, wholeNumber } from '../database/database.ts'
import type { Dialect } from '../database/dialects.ts'
import { INBOX } from './schema.ts'

/** What is known of a message. An attempt that is not over is `started`; for ever, if it died. */
export const RecordState = { started: 0, finished: 1, failed: 2 } as const
export type RecordState = (typeof RecordState)[keyof typeof RecordState]

export interface Attempt {
  /** By which it may write: a later attempt has a higher one. */
  readonly fence: number
  /** What the attempt before it left; undefined: there was none. */
  readonly before: RecordState | undefined
}

/** A message, as it is told from others. */
export interface Identity {
  readonly messageId: string
  readonly digest: string
}

interface Found {
  readonly fence: number
  readonly state: RecordState
}

/** The fence of the first delivery, which it takes when it commits. */
export const FIRST_FENCE = 1

/** Of a message that was undone before it was known: any body fits. */
const ANY_BODY = ''

/** What one consumer knows of messages, as rows. */
export class Records {
  private readonly database: Database
  private readonly consumer: string
  private readonly sql: ReturnType<typeof statements>
  /** The latest time by the clock of the database, and when it was that, by ours that does not jump. */
  private latest = { time: 0, at: 0 }

  constructor(database: Database, consumer: string) {
    this.database = database
    this.consumer = consumer
    this.sql = statements(database.dialect)
  }

  private key(messageId: string): SqlValue[] {
    return [this.consumer, messageId]
  }

  /** For the two places of a stamp. */
  private stamp(): SqlValue[] {
    const { time, at } = this.latest
    const earliest = Math.floor(time + performance.now() - at)
    return [earliest, earliest]
  }

  /** Undefined: nothing is known. Rejects with `message-id-conflict`. */
  async find(message: Identity, executor: Executor = this.database): Promise<Found | undefined> {
    const { rows } = await executor.execute(this.sql.find, this.key(message.messageId))
    return rows[0] && this.checked(rows[0], message)
  }

  /**
   * A new attempt, durable when this resolves: what an earlier one writes from now on fails. Undefined when the message is
   * finished. Rejects with `message-id-conflict`.
   */
  async begin(message: Identity, firstFence: number): Promise<Attempt | undefined> {
    for (;;) {
      const attempt = await this.database.transaction((tx) => this.tryBegin(tx, message, firstFence))
      if (attempt !== 'taken') return attempt
    }
  }

  private async tryBegin(
    tx: Executor,
    message: Identity,
    firstFence: number,
  ): Promise<Attempt | undefined | 'taken'> {
    const key = this.key(message.messageId)
    // First, to lock it: whoever finishes at this moment is waited for.
    const { affected } = await tx.execute(this.sql.raise, [...this.stamp(), ...key])
    const { rows } = await tx.execute(this.sql.find, key)
    const [row] = rows
    if (row) {
      const { fence, state } = this.checked(row, message)
      if (state === RecordState.finished) return undefined
      if (affected === 0) return 'taken'
      if (state !== RecordState.started) await tx.execute(this.sql.restart, key)
      return { fence, before: state }
    }
    const inserted = await this.insert(tx, message, firstFence, RecordState.started)
    return inserted ? { fence: firstFence, before: undefined } : 'taken'
  }

  /**
   * In the transaction of the effect: it counts, if this is still the attempt that may write. Rejects with `superseded`
   * otherwise, and the transaction must be rolled back.
   */
  async finish(tx: Executor, message: Identity, fence: number, isRecorded: boolean): Promise<void> {
    const done = isRecorded
      ? (await tx.execute(this.sql.finish, [...this.stamp(), ...this.key(message.messageId), fence]))
          .affected > 0
      : await this.insert(tx, message, fence, RecordState.finished)
    if (!done) throw superseded(message.messageId)
  }

  /** The effect of a message has happened, by whichever attempt. */
  async finishEffect(messageId: string): Promise<void> {
    await this.database.execute(this.sql.finishAny, [...this.stamp(), ...this.key(messageId)])
  }

  /**
   * Nothing is to be written for this message any more, by whichever delivery. What was written before this resolves has been
   * committed by then.
   */
  async forbid(messageId: string): Promise<void> {
    const message = { messageId, digest: ANY_BODY }
    for (;;) {
      const { affected } = await this.database.execute(this.sql.finishAny, [
        ...this.stamp(),
        ...this.key(messageId),
      ])
      if (affected > 0) return
      if (await this.insert(this.database, message, FIRST_FENCE, RecordState.finished)) return
    }
  }

  /** The attempt has ended without effect, if it still is the last one, and no earlier one has had it meanwhile. */
  async failEffect(messageId: string, fence: number): Promise<void> {
    await this.database.execute(this.sql.fail, [...this.stamp(), ...this.key(messageId), fence])
  }

  private async insert(
    to: Executor,
    { messageId, digest }: Identity,
    fence: number,
    state: number,
  ): Promise<boolean> {
    try {
      const values = [...this.key(messageId), fence, state, digest, ...this.stamp()]
      return (await to.execute(this.sql.insert, values)).affected > 0
    } catch (error) {
      if ((error as MillraceError).code === 'database-duplicate') return false
      throw error
    }
  }

  private checked(row: Row, { messageId, digest }: Identity): Found {
    const known = text(row['digest'])
    if (known !== digest && known !== ANY_BODY)
      throw new MillraceError(
        'message-id-conflict',
        `a message ${messageId} with another body was processed before`,
      )
    return { fence: wholeNumber(row['fence']), state: wholeNumber(row['state']) as RecordState }
  }

  /**
   * Milliseconds by the clock of the database. What is stamped from now on is no earlier than this, nor than what is there:
   * a message that was processed while the clock was set back would be forgotten too early.
   */
  async clock(): Promise<number> {
    const { rows } = await this.database.execute(this.sql.clock)
    const [now, last] = [wholeNumber(rows[0]!['at']), wholeNumber(rows[0]!['last'])]
    const [earliest] = this.stamp() as [number]
    this.latest = { time: Math.max(now, last, earliest), at: performance.now() }
    return now
  }

  /** Forgets what has not changed for so many milliseconds, at most `limit` messages; answers how many. */
  async sweep(retention: number, limit: number): Promise<number> {
    const { sql, parameters } = this.sql.sweep(limit)
    const values = parameters.map((name) => (name === 'consumer' ? this.consumer : retention))
    return (await this.database.execute(sql, values)).affected
  }
}

function superseded(messageId: string): MillraceError {
  return new MillraceError(
    'superseded',
    `another delivery of ${messageId} has taken over; nothing of this one counts`,
  )
}

function statements(dialect: Dialect) {
  const { now, name, orNothing } = dialect
  const sql = (words: string) => dialect.statement(words)
  const which = 'consumer = ? AND message_id = ?'
  const stamp = `CASE WHEN ${now} > ? THEN ${now} ELSE ? END`
  const old = `consumer = ? AND changed_at < ${now} - ?`
  return {
    find: sql(`SELECT fence, state, digest FROM ${INBOX} WHERE ${which}`),
    raise: sql(
      `UPDATE ${INBOX} SET fence = fence + 1, changed_at = ${stamp} WHERE ${which} AND state <> ${RecordState.finished}`,
    ),
    restart: sql(`UPDATE ${INBOX} SET state = ${RecordState.started} WHERE ${which}`),
    finish: sql(
      `UPDATE ${INBOX} SET state = ${RecordState.finished}, changed_at = ${stamp} WHERE ${which} AND fence = ? AND state = ${RecordState.started}`,
    ),
    finishAny: sql(
      `UPDATE ${INBOX} SET state = ${RecordState.finished}, changed_at = ${stamp} WHERE ${which}`,
    ),
    fail: sql(
      `UPDATE ${INBOX} SET state = ${RecordState.failed}, changed_at = ${stamp} WHERE ${which} AND fence = ? AND state = ${RecordState.started}`,
    ),
    insert: sql(`INSERT INTO ${INBOX} (consumer, message_id, fence, state, digest, changed_at)
      VALUES (?, ?, ?, ?, ?, ${stamp}) ${orNothing}`),
    clock: `SELECT ${now} AS at, COALESCE(MAX(changed_at), 0) AS last FROM ${INBOX}`,
    // MySQL takes no subquery of the table that it deletes from, and a LIMIT instead; the others have no LIMIT there.
    sweep: (limit: number) =>
      name === 'mysql'
        ? {
            sql: sql(`DELETE FROM ${INBOX} WHERE ${old} LIMIT ${limit}`),
            parameters: ['consumer', 'retention'],
          }
        : {
            sql: sql(
              `DELETE FROM ${INBOX} WHERE consumer = ? AND message_id IN (SELECT message_id FROM ${INBOX} WHERE ${old} LIMIT ${limit})`,
            ),
            parameters: ['consumer', 'consumer', 'retention'],
          },
  }
}
