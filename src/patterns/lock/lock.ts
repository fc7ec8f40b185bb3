import type { Context } from '../../client/context.ts'
import { type Queue, queue } from '../../client/destinations.ts'
import type { Feed, FeedListener } from '../../client/feed.ts'
import type { Message } from '../../client/message.ts'
import type { Session } from '../../client/session.ts'
import { abortable } from '../../client/waiting.ts'
import { type Duration, milliseconds } from '../../model/duration.ts'
import { isMillraceError, MillraceError } from '../../model/errors.ts'
import { tokenOf } from './token.ts'

export interface AcquireOptions {
  /** How long to wait for it; 0: not at all. Default: until it is free. */
  readonly timeout?: Duration | undefined
  readonly signal?: AbortSignal | undefined
}

interface Knock {
  readonly lock: string
}

/** Somebody may have purged the queue: who waits says so again from time to time. Milliseconds. */
const KNOCK_AGAIN = 30_000

/**
 * A lock that is held by one at a time of all who use the broker. It is a queue with a single active consumer: who is active
 * holds the lock, the others stand by, in the order in which they came. The queue keeps the last value, so that there is one
 * message in it, however many knock.
 *
 * A holder has a token: the number of a message that it has got as the active one, and that nobody will get again. The queue
 * keeps the newest, and the number of a message is higher than those of all before it, so that tokens rise from holder to
 * holder, whatever has failed in between.
 */
export class Lock {
  readonly name: string
  private readonly mq: Context
  private readonly queue: Queue<Knock>

  /** @internal */
  constructor(mq: Context, name: string) {
    this.name = name
    this.mq = mq
    this.queue = queue<Knock>(`millrace.lock.${name}`, {
      policy: {
        singleActiveConsumer: true,
        lastValue: 'lock',
        deadLetter: false,
      },
    })
  }

  /**
   * Waits for the lock. Rejects with `timeout`, the reason of `signal`, `unsupported` where the broker has no such queues, and
   * what sends and consumers reject with.
   */
  async acquire(options: AcquireOptions = {}): Promise<HeldLock> {
    const held = await this.attempt(options)
    if (held) return held
    throw new MillraceError(
      'timeout',
      `the lock ${this.name} was not free within ${milliseconds(options.timeout!)} ms`,
    )
  }

  /** The lock, if it is free now. Rejects as `acquire`. */
  tryAcquire(options: Pick<AcquireOptions, 'signal'> = {}): Promise<HeldLock | undefined> {
    return this.attempt({ ...options, timeout: 0 })
  }

  /**
   * Runs `work` while it holds the lock, and releases it. The signal is aborted when the lock is lost meanwhile: `work` is then
   * to stop, and what it changes to be refused by its token. Rejects as `acquire`, and with what `work` throws.
   */
  async run<R>(
    work: (held: Pick<HeldLock, 'token' | 'signal'>) => R | Promise<R>,
    options: AcquireOptions = {},
  ): Promise<R> {
    await using held = await this.acquire(options)
    return await work(held)
  }

  private async attempt({ timeout, signal }: AcquireOptions): Promise<HeldLock | undefined> {
    if (!this.mq.capabilities.policies)
      throw new MillraceError('unsupported', 'a lock needs queues with a single active consumer')
    signal?.throwIfAborted()
    const limit = timeout === undefined ? undefined : milliseconds(timeout)
    const session = this.mq.connection.createSession()
    try {
      const candidate = new Candidate(this.mq, this.name, session)
      const held = await abortable(candidate.hold(this.queue, limit), signal)
      if (!held) await session.close()
      return held
    } catch (error) {
      await session.close()
      throw error
    }
  }
}

/** One who wants the lock, and then has it. */
class Candidate implements FeedListener {
  private readonly mq: Context
  private readonly name: string
  private readonly session: Session
  private feed!: Feed<Knock>
  private changed = Promise.withResolvers<void>()
  private held: HeldLock | undefined
  private isLeaving = false

  constructor(mq: Context, name: string, session: Session) {
    this.mq = mq
    this.name = name
    this.session = session
  }

  available(): void {
    if (this.feed.error) this.held?.lose(this.feed.error)
    this.wake()
  }

  forfeited(_tag: number | undefined, why: MillraceError): void {
    this.held?.lose(why)
  }

  /** The session is being closed: nothing comes any more. */
  async idle(): Promise<void> {
    this.isLeaving = true
    this.wake()
  }

  private wake(): void {
    this.changed.resolve()
    this.changed = Promise.withResolvers()
  }

  /** Undefined: it is not free. */
  async hold(queue: Queue<Knock>, timeout: number | undefined): Promise<HeldLock | undefined> {
    const producer = await this.session.createProducer(queue)
    const consumer = await this.session.createConsumer(queue, { prefetch: 0 })
    this.feed = consumer.feed(this)
    const knock = async (): Promise<void> => {
      await producer.send({ lock: this.name }, { properties: { lock: this.name } })
    }
    for (;;) {
      await knock()
      const message = await this.next(knock, timeout)
      if (!message) return undefined
      // For the one after this one; and so that this message is outdated, and not delivered again, whatever happens.
      await knock()
      if (await isDone(message)) return this.takeOver(message)
    }
  }

  private takeOver(message: Message<Knock>): HeldLock {
    this.held = new HeldLock(this.name, this.session, tokenOf(message))
    return this.held
  }

  /** The next message, which comes when it is the active one. */
  private async next(
    knock: () => Promise<void>,
    timeout: number | undefined,
  ): Promise<Message<Knock> | undefined> {
    const { clock } = this.mq
    const { feed } = this
    const until = timeout === undefined ? Number.POSITIVE_INFINITY : clock.monotonic() + timeout
    if (feed.coming === 0) feed.grant(1)
    for (;;) {
      if (this.isLeaving) throw new MillraceError('closed', 'the session is closed')
      const message = feed.take()
      if (message) return message
      if (feed.error) throw feed.error
      const left = until - clock.monotonic()
      if (left <= 0) {
        await feed.drain()
        return feed.take()
      }
      const isLate = await this.change(Math.min(left, KNOCK_AGAIN))
      if (isLate && left > KNOCK_AGAIN) void knock().catch(() => {})
    }
  }

  /** True when so much time has passed, and nothing has changed. */
  private async change(delay: number): Promise<boolean> {
    let cancel = (): void => {}
    const passed = new Promise<boolean>((resolve) => {
      cancel = this.mq.clock.after(delay, () => resolve(true))
    })
    const changed = this.changed.promise.then(() => false)
    return Promise.race([passed, changed]).finally(() => cancel())
  }
}

/** Nobody will get it again. False: somebody else may, because the connection was lost meanwhile. */
async function isDone(message: Message): Promise<boolean> {
  try {
    await message.acknowledge()
    return true
  } catch (error) {
    if (isMillraceError(error) && error.code === 'delivery-settled') return false
    throw error
  }
}

/** A lock that is held, until it is released, its connection is lost, or its process ends. */
export class HeldLock implements AsyncDisposable {
  readonly name: string
  /** Higher than that of everybody who held the lock before; see Fence. */
  readonly token: number
  private readonly session: Session
  private readonly aborter = new AbortController()
  private releasing: Promise<void> | undefined

  /** @internal */
  constructor(name: string, session: Session, token: number) {
    this.name = name
    this.session = session
    this.token = token
  }

  /** Aborted when the lock is lost, with why: somebody else may hold it now. Not when it is released. */
  get signal(): AbortSignal {
    return this.aborter.signal
  }

  /** @internal */
  lose(cause: MillraceError): void {
    if (this.releasing) return
    this.aborter.abort(
      new MillraceError('lock-lost', `the lock ${this.name} is lost, and somebody else may hold it`, {
        cause,
      }),
    )
    // A consumer that came back with the connection would be the active one, and take nothing.
    this.release().catch(() => {})
  }

  /** Gives it to the next one. May be repeated; what is lost need not be released. */
  release(): Promise<void> {
    this.releasing ??= this.session.close()
    return this.releasing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release()
  }
}

/** A lock among all who use the same broker, by its name. */
export function lock(mq: Context, name: string): Lock {
  return new Lock(mq, name)
}
