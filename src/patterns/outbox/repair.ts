import type { Context } from '../../client/context.ts'
import type { MillraceError } from '../../model/errors.ts'
import { type Database, optionalText, type Row, text, wholeNumber } from '../database/database.ts'
import type { Claims } from './claims.ts'
import { type Attempt, Dispatch, isBrokerAway, settlementOf } from './dispatch.ts'
import type { RelayConfiguration } from './relay-options.ts'
import type { Statements } from './statements.ts'

/** What was committed and is not confirmed. */
export interface OutboxReport {
  readonly messages: number
  readonly bytes: number
  /** Milliseconds since the oldest was stored; undefined: there is none. */
  readonly oldest: number | undefined
  /** On their way with a relay at this moment. */
  readonly claimed: number
  /** Failed at least once. */
  readonly failing: number
  readonly poison: number
  /** Those that have failed most often, then the oldest. */
  readonly entries: readonly OutboxEntry[]
}

export interface OutboxEntry {
  readonly messageId: string
  readonly key: string | undefined
  readonly destination: string
  readonly size: number
  /** Milliseconds since it was stored. */
  readonly age: number
  readonly failures: number
  /** Trying again does not help, or has not so far. */
  readonly poison: boolean
  /** Code and message of the last failure. */
  readonly error: string | undefined
}

export interface ResendReport {
  readonly sent: number
  readonly expired: number
  /** Refused by the broker again; the report says why. */
  readonly failed: number
  /** Still in the outbox: failed, behind one of their key that has failed, or on their way with a relay. */
  readonly left: number
}

export async function report(
  database: Database,
  statements: Statements,
  limit: number,
): Promise<OutboxReport> {
  const { rows: entries } = await database.execute(statements.oldest(limit))
  const { rows } = await database.execute(statements.summary)
  const [all] = rows as [Row]
  const number = (name: string) => wholeNumber(all[name])
  return {
    messages: number('messages'),
    bytes: number('bytes'),
    oldest: all['since'] === null ? undefined : age(all['now'], all['since']),
    claimed: number('claimed'),
    failing: number('failing'),
    poison: number('poison'),
    entries: entries.map(entryOf),
  }
}

function entryOf(row: Row): OutboxEntry {
  return {
    messageId: text(row['message']),
    key: text(row['lane']) || undefined,
    destination: text(row['destination']),
    size: wholeNumber(row['size']),
    age: age(row['now'], row['created']),
    failures: wholeNumber(row['failures']),
    poison: wholeNumber(row['poison']) === 1,
    error: optionalText(row['error']),
  }
}

/** The clock of the database may have been set back since. */
function age(now: unknown, then: unknown): number {
  return Math.max(0, wholeNumber(now) - wholeNumber(then))
}

/** What has become of the messages of one claim, in figures. */
export interface SentBatch {
  readonly sent: number
  readonly expired: number
  readonly failed: number
  /** What keeps the broker away; the messages that it has kept are free again. */
  readonly away: MillraceError | undefined
}

/** Sends what one claim takes; undefined: there is nothing that may be sent now. One connection at a time is used. */
export async function sendBatch(
  dispatch: Dispatch,
  claims: Claims,
  configuration: RelayConfiguration,
  tried: (attempts: readonly Attempt[]) => void = () => {},
): Promise<SentBatch | undefined> {
  const claim = await claims.take(configuration)
  if (!claim) return undefined
  const renew = () => void claims.renew(claim.token).catch(() => {})
  const renewing = setInterval(renew, configuration.lease / 3)
  const attempts = await dispatch.send(claim).finally(() => clearInterval(renewing))
  await claims.settle(claim.token, settlementOf(claim, attempts))
  tried(attempts)
  const totals = { sent: 0, expired: 0, failed: 0 }
  let away: MillraceError | undefined
  for (const { error, expired } of attempts) {
    if (error && isBrokerAway(error)) away = error
    else if (error) totals.failed++
    else totals[expired ? 'expired' : 'sent']++
  }
  return { ...totals, away }
}

/** Sends everything that may be sent now, once. Rejects with what keeps the broker away. */
export async function sendAll(
  mq: Context,
  claims: Claims,
  configuration: RelayConfiguration,
): Promise<Omit<ResendReport, 'left'>> {
  await using producer = await mq.createProducer()
  const dispatch = new Dispatch(producer, () => mq.connection.clock.wall())
  const totals = { sent: 0, expired: 0, failed: 0 }
  for (;;) {
    const batch = await sendBatch(dispatch, claims, configuration)
    if (!batch) return totals
    for (const kind of ['sent', 'expired', 'failed'] as const) totals[kind] += batch[kind]
    if (batch.away) throw batch.away
  }
}
