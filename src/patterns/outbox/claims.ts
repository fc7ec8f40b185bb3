import { randomUUID } from 'node:crypto'
import type { Database, Executor, Row } from '../database/database.ts'
import { text, wholeNumber } from '../database/database.ts'
import { LONGEST_LIST, padded, type Statements } from './statements.ts'

/** A message that a relay has claimed. */
export interface ClaimedMessage {
  readonly id: number
  readonly messageId: string
  /** Its key; '' without one. */
  readonly lane: string
  readonly headers: string
  readonly body: Uint8Array
  readonly size: number
  /** Attempts that have failed. */
  readonly failures: number
}

/** Messages that nobody else sends as long as the claim is renewed. */
export interface Claim {
  /** The fencing token: what somebody else has claimed meanwhile is not touched under it. */
  readonly token: string
  /** In the order in which they were stored; of a key all up to the last one. */
  readonly messages: readonly ClaimedMessage[]
}

export interface ClaimLimits {
  readonly messages: number
  readonly bytes: number
  /** Milliseconds after which an unrenewed claim is void. */
  readonly lease: number
}

/** What has become of the messages of a claim. */
export interface Settlement {
  readonly confirmed: readonly number[]
  readonly failed: readonly {
    readonly id: number
    readonly retryAfter: number
    readonly poison: boolean
    readonly error: string
  }[]
  /** Nothing was tried, or nobody is to blame. */
  readonly released: readonly number[]
}

interface Candidate {
  readonly id: number
  readonly lane: string
  readonly size: number
}

/**
 * Claims on rows of the outbox, each in a short transaction, none of which is open while something is sent. Whoever claims
 * the first row of a key has the key: the rows behind it are claimed with it, and a first row that is claimed, or waits
 * after a failure, keeps those behind it from being claimed. Relays that claim at once pass over each other's rows.
 */
export class Claims {
  private readonly database: Database
  private readonly statements: Statements
  /** The key up to which keys have been looked at, so that all of them have their turn. */
  private after = ''

  constructor(database: Database, statements: Statements) {
    this.database = database
    this.statements = statements
  }

  /** Undefined: there is nothing that may be sent now. */
  async take(limits: ClaimLimits): Promise<Claim | undefined> {
    // Most of the time there is nothing, and then no transaction is needed to find out.
    const heads = await this.candidates(this.database, Math.min(limits.messages, LONGEST_LIST))
    if (heads.length === 0) return undefined
    return this.database.transaction(async (tx) => {
      const wanted = withinBytes(await this.withFollowers(tx, heads, limits.messages), limits.bytes)
      const messages = contiguous(wanted, await this.lock(tx, wanted))
      if (messages.length === 0) return undefined
      const token = randomUUID()
      const ids = padded(messages.map(({ id }) => id))
      await tx.execute(this.statements.claim(ids.length), [token, limits.lease, ...ids])
      return { token, messages }
    })
  }

  /** Looks at all keys, if need be, before it says that there is nothing. */
  private async candidates(executor: Executor, limit: number): Promise<Candidate[]> {
    const { rows: loose } = await executor.execute(this.statements.loose(limit))
    for (let fromStart = this.after === ''; ; fromStart = true) {
      const free = await this.freeHeads(executor, limit)
      const found = [...loose.map(candidate), ...free].sort(byId).slice(0, limit)
      if (found.length > 0 || (this.after === '' && fromStart)) return found
    }
  }

  private async freeHeads(executor: Executor, limit: number): Promise<Candidate[]> {
    const { rows } = await executor.execute(this.statements.heads(limit), [this.after])
    // Behind the last key the first one follows.
    this.after = rows.length < limit ? '' : text(rows.at(-1)!['lane'])
    return rows.filter((row) => wholeNumber(row['free']) === 1).map(candidate)
  }

  private async withFollowers(
    tx: Executor,
    heads: readonly Candidate[],
    limit: number,
  ): Promise<Candidate[]> {
    const lanes = heads.flatMap(({ lane }) => (lane === '' ? [] : [lane]))
    if (lanes.length === 0 || heads.length >= limit) return [...heads]
    const list = padded(lanes)
    const { rows } = await tx.execute(this.statements.followers(list.length, limit), list)
    const known = new Set(heads.map(({ id }) => id))
    const followers = rows.map(candidate).filter(({ id }) => !known.has(id))
    return [...heads, ...followers].slice(0, Math.min(limit, LONGEST_LIST))
  }

  private async lock(tx: Executor, wanted: readonly Candidate[]): Promise<ClaimedMessage[]> {
    const ids = padded(wanted.map(({ id }) => id))
    const { rows } = await tx.execute(this.statements.lock(ids.length), ids)
    return rows.map(claimedMessage).sort(byId)
  }

  /** False: the claim has run out, and at least in part it is somebody else's. */
  async renew(token: string): Promise<boolean> {
    return (await this.database.execute(this.statements.renew, [token])).affected > 0
  }

  /** Answers how many of the confirmed messages were not under the claim any more: somebody else will send them again. */
  async settle(token: string, { confirmed, failed, released }: Settlement): Promise<number> {
    const { statements } = this
    return this.database.transaction(async (tx) => {
      let deleted = 0
      if (confirmed.length > 0) {
        const ids = padded(confirmed)
        deleted = (await tx.execute(statements.confirm(ids.length), [token, ...ids])).affected
      }
      for (const { id, retryAfter, poison, error } of failed)
        await tx.execute(statements.fail, [retryAfter, poison ? 1 : 0, error, token, id])
      if (released.length > 0) {
        const ids = padded(released)
        await tx.execute(statements.release(ids.length), [token, ...ids])
      }
      return confirmed.length - deleted
    })
  }
}

function candidate(row: Row): Candidate {
  return { id: wholeNumber(row['id']), lane: text(row['lane']), size: wholeNumber(row['size']) }
}

function claimedMessage(row: Row): ClaimedMessage {
  return {
    ...candidate(row),
    messageId: text(row['message']),
    headers: text(row['headers']),
    body: row['body'] as Uint8Array,
    failures: wholeNumber(row['failures']),
  }
}

function byId(a: { readonly id: number }, b: { readonly id: number }): number {
  return a.id - b.id
}

/** As many from the front as fit, at least one. */
function withinBytes(candidates: readonly Candidate[], limit: number): Candidate[] {
  let bytes = 0
  let count = 0
  for (const { size } of candidates) {
    bytes += size
    if (bytes > limit && count > 0) break
    count++
  }
  return candidates.slice(0, count)
}

/** Of each key the locked messages up to the first that is not: it is another's, or has gone, and those behind it must wait. */
function contiguous(wanted: readonly Candidate[], locked: readonly ClaimedMessage[]): ClaimedMessage[] {
  const got = new Set(locked.map(({ id }) => id))
  const cut = new Set<string>()
  const kept = new Set<number>()
  for (const { id, lane } of wanted) {
    if (cut.has(lane)) continue
    if (got.has(id)) kept.add(id)
    else if (lane !== '') cut.add(lane)
  }
  return locked.filter(({ id }) => kept.has(id))
}
