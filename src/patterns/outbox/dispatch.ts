import type { MessageProducer } from '../../client/producer.ts'
import type { MillraceError } from '../../model/errors.ts'
import type { Claim, ClaimedMessage, Settlement } from './claims.ts'
import { Restoration } from './stored-message.ts'
import { asMillraceError } from './trouble.ts'

/** What has become of an attempt to send one message. */
export interface Attempt {
  readonly message: ClaimedMessage
  /** Undefined: the broker has confirmed it, or it has expired. */
  readonly error: MillraceError | undefined
  readonly expired: boolean
}

/** These say nothing about the message: it is tried again when the broker is back. */
const brokerAway: ReadonlySet<string> = new Set([
  'closed',
  'connection-failed',
  'connection-lost',
  'journal-failed',
])

/** Whether the broker is to blame, and not the message. */
export function isBrokerAway(error: MillraceError): boolean {
  return brokerAway.has(error.code)
}

/** Sends the messages of claims: those of a key one after the other, each when the one before is confirmed, others at once. */
export class Dispatch {
  private readonly producer: MessageProducer
  private readonly wall: () => number
  private readonly restoration = new Restoration()

  constructor(producer: MessageProducer, wall: () => number) {
    this.producer = producer
    this.wall = wall
  }

  /** Answers an attempt for each message that was tried; the rest of a key behind one that failed is not. */
  async send({ messages }: Claim): Promise<Attempt[]> {
    const attempts: Attempt[] = []
    const lanes = new Map<string, ClaimedMessage[]>()
    const running: Promise<void>[] = []
    for (const message of messages) {
      const lane = lanes.get(message.lane)
      if (message.lane === '') running.push(this.sendInTurn([message], attempts))
      else if (lane) lane.push(message)
      else lanes.set(message.lane, [message])
    }
    for (const lane of lanes.values()) running.push(this.sendInTurn(lane, attempts))
    await Promise.all(running)
    return attempts
  }

  private async sendInTurn(lane: readonly ClaimedMessage[], attempts: Attempt[]): Promise<void> {
    for (const message of lane) {
      const attempt = await this.attempt(message)
      attempts.push(attempt)
      if (attempt.error) return
    }
  }

  private async attempt(message: ClaimedMessage): Promise<Attempt> {
    try {
      const { destination, outgoing } = this.restoration.restore(message)
      const expired = outgoing.expiry > 0 && outgoing.expiry <= this.wall()
      if (!expired) await this.producer.forward(destination, outgoing)
      return { message, error: undefined, expired }
    } catch (error) {
      return { message, error: asMillraceError(error), expired: false }
    }
  }
}

/** Pause before a message is tried again: 1 s, 2 s, 4 s, … 5 min, and that at once when only a change elsewhere will help. */
const FIRST_PAUSE = 1_000
const LONGEST_PAUSE = 300_000
const LONGEST_ERROR = 1_000

/** After so many failures in a row a message is reported as poison, whatever they were. */
const POISON_AFTER = 10

/** What the database is told of the attempts of a claim. */
export function settlementOf({ messages }: Claim, attempts: readonly Attempt[]): Settlement {
  const confirmed: number[] = []
  const failed: Settlement['failed'][number][] = []
  const decided = new Set<number>()
  for (const { message, error } of attempts) {
    if (error && isBrokerAway(error)) continue
    decided.add(message.id)
    if (!error) confirmed.push(message.id)
    else failed.push({ id: message.id, ...failureOf(message, error) })
  }
  const released = messages.map(({ id }) => id).filter((id) => !decided.has(id))
  return { confirmed, failed, released }
}

function failureOf(
  { failures }: ClaimedMessage,
  error: MillraceError,
): Omit<Settlement['failed'][number], 'id'> {
  const poison = isPoison(failures, error)
  const retryAfter = poison ? LONGEST_PAUSE : Math.min(FIRST_PAUSE * 2 ** failures, LONGEST_PAUSE)
  return { retryAfter, poison, error: `${error.code}: ${error.message}`.slice(0, LONGEST_ERROR) }
}

/** Whether somebody has to look at it: trying again does not help, or has not so far. */
export function isPoison(failures: number, error: MillraceError): boolean {
  return !error.retryable || failures + 1 >= POISON_AFTER
}
