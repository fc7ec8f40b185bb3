import { type Context, isMillraceError, queue } from '../../src/index.ts'
import type { Verb } from './protocol.ts'

/**
 * Tokens that transactions carry from one queue to another: at every moment each is in exactly one of the two. A token bears
 * how often it was carried, so that a commit that was confirmed and has not happened is noticed, and one that nobody asked
 * for as well.
 *
 * The child says, for each token at its start, `token NUMBER HOPS`, and afterwards `carrying NUMBER HOPS` before the commit
 * that makes it so many, `carried NUMBER HOPS` when that has resolved. `minting` and `minted`: the transaction that makes
 * them all.
 */
export const TOKENS = 12
const here = queue<Token>('tokens-here')
const there = queue<Token>('tokens-there')
const tokenQueues: readonly string[] = [here.name, there.name]

interface Token {
  readonly number: number
  readonly hops: number
}

type Say = (verb: Verb, ...fields: number[]) => void

export function isTokenQueue(name: string): boolean {
  return tokenQueues.includes(name)
}

/** Says where all tokens are. */
export async function reportTokens(mq: Context, say: Say): Promise<void> {
  for (const place of [here, there]) {
    await mq.declare(place)
    for await (const message of mq.browse(place)) say('token', message.body.number, message.body.hops)
  }
}

/** Carries tokens to and fro until `isOver`. */
export async function carryTokens(mq: Context, say: Say, isOver: () => boolean): Promise<void> {
  const { messages } = await countTokens(mq)
  if (messages === 0) await mint(mq, say)
  await Promise.all([carry(mq, here, there, say, isOver), carry(mq, there, here, say, isOver)])
}

async function countTokens(mq: Context): Promise<{ messages: number }> {
  const reports = await mq.management.queues()
  const messages = reports
    .filter(({ name }) => isTokenQueue(name))
    .reduce((sum, one) => sum + one.messages, 0)
  return { messages }
}

async function mint(mq: Context, say: Say): Promise<void> {
  const session = mq.connection.createSession({ acknowledge: 'transacted' })
  const producer = await session.createProducer(here)
  say('minting')
  for (let number = 0; number < TOKENS; number++) await producer.send({ number, hops: 0 })
  await session.commit()
  say('minted')
  await session.close()
}

async function carry(
  mq: Context,
  from: typeof here,
  to: typeof here,
  say: Say,
  isOver: () => boolean,
): Promise<void> {
  const session = mq.connection.createSession({ acknowledge: 'transacted' })
  const consumer = await session.createConsumer(from)
  const producer = await session.createProducer(to)
  while (!isOver()) {
    const carried: Token[] = []
    // As many as come at once, so that transactions are of all sizes.
    while (carried.length < 5) {
      const message = await consumer.receive({ timeout: carried.length === 0 ? 20 : 1 })
      if (!message) break
      const token = { number: message.body.number, hops: message.body.hops + 1 }
      carried.push(token)
      await producer.send(token)
    }
    if (carried.length === 0) continue
    if (carried.length % 4 === 3) {
      await session.rollback()
      continue
    }
    for (const { number, hops } of carried) say('carrying', number, hops)
    await session.commit()
    for (const { number, hops } of carried) say('carried', number, hops)
  }
}

/** Whether an error is the end of the connection, which ends the work. */
export function isEnd(error: unknown): boolean {
  return isMillraceError(error) && error.code === 'closed'
}

/** What must be true of the tokens, from what the children have said. */
export class TokenLedger {
  readonly violations: string[] = []
  commits = 0
  private minted: 'no' | 'perhaps' | 'surely' = 'no'
  private found = new Map<number, number[]>()
  /** Hops that are certain, and the most that may have happened. */
  private readonly certain = new Map<number, number>()
  private readonly possible = new Map<number, number>()

  begin(): void {
    this.found = new Map()
  }

  /** Takes in a line of a child; false when it is not about tokens. */
  read(line: string): boolean {
    const [verb, number, hops] = line.split(' ')
    const token = Number(number)
    if (verb === 'token') this.found.set(token, [...(this.found.get(token) ?? []), Number(hops)])
    else if (verb === 'minting') this.minted = 'perhaps'
    else if (verb === 'minted') this.minted = 'surely'
    else if (verb === 'carrying') this.possible.set(token, Number(hops))
    else if (verb === 'carried') this.carried(token, Number(hops))
    else if (verb === 'ready') return this.compare()
    else return false
    return true
  }

  private carried(token: number, hops: number): void {
    this.commits++
    this.certain.set(token, hops)
  }

  /** The start of a child is complete. Others want to hear of it too. */
  private compare(): false {
    const { size } = this.found
    if (size === 0 && this.minted !== 'surely') return false
    if (size !== TOKENS)
      this.violations.push(`${size} of ${TOKENS} tokens are there: a transaction is there by half`)
    if (size > 0) this.minted = 'surely'
    for (const [token, places] of this.found) {
      const [hops] = places
      const least = this.certain.get(token) ?? 0
      const most = this.possible.get(token) ?? 0
      if (places.length > 1) this.violations.push(`token ${token} is there ${places.length} times`)
      else if (hops! < least || hops! > most)
        this.violations.push(`token ${token} was carried ${hops} times, and not ${least} to ${most} times`)
      this.certain.set(token, hops!)
      this.possible.set(token, hops!)
    }
    return false
  }
}
