import type { Context, Dependant } from '../../client/context.ts'
import type { Feed, FeedListener } from '../../client/feed.ts'
import type { Message } from '../../client/message.ts'
import type { Session } from '../../client/session.ts'
import { afterTurn, settlesWithin } from '../../client/waiting.ts'
import type { CloseOptions } from '../../client/worker.ts'
import { milliseconds } from '../../model/duration.ts'
import { MillraceError } from '../../model/errors.ts'
import { whole } from '../arguments.ts'
import type { Explanation } from '../explain/explanation.ts'
import { Admission } from './admission.ts'
import { explainGate } from './explain.ts'
import { type GateQueues, type Place, queuesOf } from './queues.ts'
import { setUp } from './set-up.ts'
import { Tokens } from './tokens.ts'

export interface GateOptions {
  /** How many are let in, from 1 to what one transaction takes: by default a million, less one. */
  readonly places: number
}

export interface EnterOptions {
  /** Stops waiting for the answer, while the broker is away. A place that would have come goes to somebody else. */
  readonly signal?: AbortSignal | undefined
}

/** Somebody who waits for an answer. */
interface Asker {
  readonly answer: PromiseWithResolvers<Admission | undefined>
  /** Nobody waits for it any more. */
  gone: boolean
}

/** Places that are asked for at once. */
const BATCH = 1_000

/**
 * Lets so many in, of all who ask at the same broker, and refuses the others at the door. The places are the messages of a
 * queue: who is let in holds one, until it is completed, released, or its connection is lost; then it is back in the queue.
 * Whoever asks while others do shares the way to the broker with them.
 */
export class Gate implements FeedListener, Dependant, AsyncDisposable {
  readonly name: string
  readonly places: number
  /** Resolves when it has been closed. Rejects when the broker ended it. */
  readonly closed: Promise<void>
  private readonly mq: Context
  private readonly queues: GateQueues
  private readonly session: Session
  private feed!: Feed<Place>
  private tokens!: Tokens
  /** In the order in which they are let in. Whoever leaves is taken out at once: the broker may be away for long. */
  private waiting: Set<Asker> = new Set()
  private asking: Promise<void> | undefined
  /** By the tags of their deliveries; undefined while the token is on its way. */
  private readonly held: Map<number, Admission | undefined> = new Map()
  /** How often everything that was held has been lost. */
  private losses = 0
  /** The connection is being restored: nobody knows what is free. */
  private isAway = false
  private failure: MillraceError | undefined
  private closing: Promise<void> | undefined
  private readonly end = Promise.withResolvers<void>()

  /** @internal */
  static async open(mq: Context, name: string, places: number): Promise<Gate> {
    const { policies, selectors, transactions } = mq.capabilities
    if (!(policies && selectors && transactions))
      throw new MillraceError(
        'unsupported',
        'a gate needs queues that keep last values, selectors and transactions',
      )
    const queues = queuesOf(name)
    await setUp(mq, queues, places)
    const gate = new Gate(mq, queues, places)
    try {
      await gate.begin()
    } catch (error) {
      await gate.close()
      throw error
    }
    return gate
  }

  private constructor(mq: Context, queues: GateQueues, places: number) {
    this.name = queues.name
    this.places = places
    this.mq = mq
    this.queues = queues
    this.session = mq.connection.createSession()
    this.closed = this.end.promise
    this.closed.catch(() => {})
  }

  private async begin(): Promise<void> {
    const { connection } = this.mq
    connection.on('disconnected', this.leaves)
    connection.on('reconnected', this.returns)
    this.tokens = await Tokens.open(this.session, this.queues)
    const consumer = await this.session.createConsumer(this.queues.places, { prefetch: 0 })
    this.feed = consumer.feed(this)
    this.mq.adopt(this)
  }

  private readonly leaves = (): void => {
    this.isAway = true
  }

  private readonly returns = (): void => {
    this.isAway = false
    this.ask()
  }

  /**
   * Lets the caller in, or answers undefined when no place is free at this moment. While the broker is away it waits for it.
   * Rejects with the reason of `signal`, `closed`, `disk-full` (there is no token), and what has ended the gate.
   */
  async enter({ signal }: EnterOptions = {}): Promise<Admission | undefined> {
    signal?.throwIfAborted()
    const refusal = this.refusal()
    if (refusal) throw refusal
    const asker: Asker = { answer: Promise.withResolvers(), gone: false }
    const leave = (): void => {
      asker.gone = true
      this.waiting.delete(asker)
      asker.answer.reject(signal!.reason)
    }
    signal?.addEventListener('abort', leave, { once: true })
    this.waiting.add(asker)
    this.ask()
    try {
      return await asker.answer.promise
    } finally {
      signal?.removeEventListener('abort', leave)
    }
  }

  private refusal(): MillraceError | undefined {
    if (this.closing) return new MillraceError('closed', `the gate ${this.name} is closed`)
    return this.failure
  }

  /** With all who ask in the same turn. */
  private ask(): void {
    if (this.asking || this.isAway || this.waiting.size === 0) return
    this.asking = new Promise<void>(afterTurn)
      .then(() => this.rounds())
      .finally(() => {
        this.asking = undefined
        // Those who have come since the last round.
        this.ask()
      })
  }

  private async rounds(): Promise<void> {
    while (this.waiting.size > 0 && !this.isAway) {
      const asked = [...this.waiting]
      this.waiting.clear()
      try {
        await this.round(asked)
      } catch (error) {
        this.turnAway(asked, error)
      }
      const refusal = this.refusal()
      if (refusal) this.turnAllAway(refusal)
    }
  }

  /** Takes as many places as there are askers and free places. */
  private async round(asked: readonly Asker[]): Promise<void> {
    const { feed, losses } = this
    const wanted = Math.min(asked.length, BATCH)
    feed.grant(wanted)
    await feed.drain()
    const free: Message<Place>[] = []
    for (let place = feed.take(); place; place = feed.take()) {
      this.held.set(place.incoming.tag, undefined)
      free.push(place)
    }
    const others = asked.slice(free.length)
    // What the broker has not answered may be free.
    const isKnown = losses === this.losses && !this.isAway && !this.refusal()
    if (isKnown && free.length < wanted) for (const { answer } of others) answer.resolve(undefined)
    else this.askAgain(others)
    if (free.length > 0) await this.letIn(free, asked)
  }

  private async letIn(free: readonly Message<Place>[], asked: readonly Asker[]): Promise<void> {
    let token: number
    try {
      token = await this.tokens.next()
    } catch (error) {
      for (const place of free) this.giveBack(place)
      throw error
    }
    const again: Asker[] = []
    free.forEach((place, i) => {
      const asker = asked[i]!
      const { tag } = place.incoming
      // Whoever has lost a place before it had the token has a lower one than the next, or does not hear of it.
      if (!this.held.has(tag)) again.push(asker)
      else if (asker.gone) this.giveBack(place)
      else {
        const admission = new Admission(place, place.body.number, token, () => void this.held.delete(tag))
        this.held.set(tag, admission)
        asker.answer.resolve(admission)
      }
    })
    this.askAgain(again)
  }

  /** Before those who have come since. */
  private askAgain(askers: readonly Asker[]): void {
    this.waiting = new Set([...askers.filter(({ gone }) => !gone), ...this.waiting])
  }

  private giveBack(place: Message<Place>): void {
    if (!this.held.delete(place.incoming.tag)) return
    place.release().catch((error) => this.closing || this.mq.connection.report(error))
  }

  /** Those who have had an answer do not hear of it. */
  private turnAway(askers: Iterable<Asker>, why: unknown): void {
    for (const { answer } of askers) answer.reject(why)
  }

  private turnAllAway(why: MillraceError): void {
    this.turnAway(this.waiting, why)
    this.waiting.clear()
  }

  /** Of a feed: whoever asks looks by itself. @internal */
  available(): void {
    const { error } = this.feed
    if (!error || this.failure || this.closing) return
    this.failure = error
    this.end.reject(error)
    // Also of a broker that does not come back. Those who are in a round are told when it ends.
    this.turnAllAway(error)
  }

  /** @internal */
  forfeited(tag: number | undefined, why: MillraceError): void {
    if (tag === undefined) this.losses++
    const lost = tag === undefined ? [...this.held.keys()] : [tag]
    for (const each of lost) {
      const admission = this.held.get(each)
      this.held.delete(each)
      admission?.lose(why)
    }
  }

  /** @internal */
  async idle(): Promise<void> {
    await this.asking
  }

  /** What it promises, in words. */
  explain(): Explanation {
    return explainGate(this.queues, this.places, this.mq.capabilities.lasting)
  }

  /**
   * Lets nobody in any more. Places that are held and not completed go back. While the broker is away it waits for it, or
   * until `drain` has passed: then they go back with the connection.
   */
  close(options: CloseOptions = {}): Promise<void> {
    this.closing ??= this.finish(options)
    return this.closing
  }

  private async finish(options: CloseOptions): Promise<void> {
    const drain = options.drain === undefined ? undefined : milliseconds(options.drain)
    const { connection } = this.mq
    connection.removeListener('disconnected', this.leaves)
    connection.removeListener('reconnected', this.returns)
    const closed = new MillraceError('closed', `the gate ${this.name} is closed`)
    this.turnAllAway(closed)
    await settlesWithin(this.session.close(), drain)
    this.forfeited(undefined, closed)
    this.end.resolve()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/**
 * A gate among all who use the same broker, by its name. Whoever comes first sets it up, with its places; for others that does
 * nothing. Rejects with `destination-conflict` when it has another number of places, `unsupported`, `argument-invalid`,
 * `transaction-too-large`, and as sends do.
 */
export async function openGate(mq: Context, name: string, { places }: GateOptions): Promise<Gate> {
  return Gate.open(mq, name, whole('places', places, 1))
}
