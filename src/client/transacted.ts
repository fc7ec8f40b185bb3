import { isMillraceError, MillraceError } from '../model/errors.ts'
import type { MessageConsumer } from './consumer.ts'
import type { ProviderTransaction } from './provider.ts'

/** Delivered messages that a consumer remembers; beyond, they are handed over to the broker's transaction. */
const HELD = 1_000

type Begin = () => Promise<ProviderTransaction> | ProviderTransaction

/** What a session does between two commits. */
export class Work {
  /** Undefined before anything had to be told the broker. */
  transaction: ProviderTransaction | undefined
  /** Those from whom something was received. */
  readonly consumers: Set<MessageConsumer> = new Set()
  private readonly begin: Begin
  private beginning: Promise<ProviderTransaction> | undefined
  /** Why it did not begin. */
  private refusal: unknown
  private readonly waiting: {
    readonly run: (transaction: ProviderTransaction) => void
    readonly reject: (error: unknown) => void
  }[] = []
  /** Sends and settlements that the broker has not answered. */
  private readonly pending: Set<Promise<unknown>> = new Set()
  private failure: Error | undefined

  constructor(begin: Begin) {
    this.begin = begin
  }

  /** Begins the transaction when it has not begun; `transaction` is there at once where the provider can do that. */
  join(): Promise<ProviderTransaction> {
    if (!this.beginning) {
      this.beginning = this.start()
      // Everybody is told who waits for it.
      this.beginning.catch(() => {})
    }
    return this.beginning
  }

  private async start(): Promise<ProviderTransaction> {
    try {
      const begun = this.begin()
      this.transaction = begun instanceof Promise ? await begun : begun
    } catch (error) {
      this.refusal = error
      for (const { reject } of this.waiting.splice(0)) reject(error)
      throw error
    }
    // Before whoever waits for `join` goes on: these came first.
    for (const { run } of this.waiting.splice(0)) run(this.transaction)
    return this.transaction
  }

  /** Calls `operation` when the transaction that is beginning has begun; those that wait in the order in which they came. */
  whenBegun<T>(operation: (transaction: ProviderTransaction) => Promise<T>): Promise<T> {
    if (this.refusal !== undefined) return Promise.reject(this.refusal)
    return new Promise((resolve, reject) => {
      const run = (transaction: ProviderTransaction): void => {
        operation(transaction).then(resolve, reject)
      }
      this.waiting.push({ run, reject })
    })
  }

  /** Something that has to succeed before it can be committed. Answers what it is given. */
  track<T>(operation: Promise<T>): Promise<T> {
    this.pending.add(operation)
    operation.then(
      () => void this.pending.delete(operation),
      (error) => {
        this.pending.delete(operation)
        this.fail(error as Error)
      },
    )
    return operation
  }

  fail(error: Error): void {
    this.failure ??= error
  }

  /** Resolves when nothing is pending. */
  async idle(): Promise<void> {
    while (this.pending.size > 0) await Promise.allSettled(this.pending)
  }

  /** Throws what has gone wrong. */
  assertWhole(): void {
    if (this.failure) throw this.failure
  }
}

/**
 * The transactions of a session (JMS 6.2.7): there is always a current one. Sends belong to the one that was current when
 * they were called, messages to the one that was current when they were delivered.
 */
export class Transacted {
  private readonly begin: Begin
  private current: Work
  private ending: Promise<void> | undefined

  constructor(begin: Begin) {
    this.begin = begin
    this.current = new Work(begin)
  }

  get work(): Work {
    return this.current
  }

  /** A message has been delivered. */
  delivered(consumer: MessageConsumer): void {
    const { work } = this
    work.consumers.add(consumer)
    if (consumer.heldCount < HELD) return
    const ranges = consumer.takeHeld()
    work
      .track(work.join().then((transaction) => consumer.settleRanges(ranges, 'accepted', transaction)))
      .catch(() => {})
  }

  /** What the application has received is lost with its connection or its queue: it will come again, or never. */
  lost(cause: MillraceError): void {
    this.work.fail(cause)
  }

  /** Rejects with `transaction-rolled-back`, `connection-lost`, `illegal-state`. */
  commit(): Promise<void> {
    return this.end(async (work) => {
      const held = takeHeld(work)
      try {
        await complete(work, held)
        await work.transaction?.commit()
      } catch (error) {
        await undo(work, held, true)
        throw error
      }
    })
  }

  /** `resume`: the consumers go on. */
  rollback(resume = true): Promise<void> {
    return this.end(async (work) => {
      const held = takeHeld(work)
      await work.idle()
      await undo(work, held, resume)
    })
  }

  /** Waits for a commit or rollback that is under way, then rolls back. */
  async close(): Promise<void> {
    await this.ending?.catch(() => {})
    await this.rollback(false)
  }

  private async end(how: (work: Work) => Promise<void>): Promise<void> {
    if (this.ending) {
      throw new MillraceError('illegal-state', 'a commit or rollback of this session is under way')
    }
    const { work } = this
    this.current = new Work(this.begin)
    this.ending = how(work).finally(() => {
      this.ending = undefined
    })
    await this.ending
  }
}

type Held = [consumer: MessageConsumer, ranges: readonly number[]][]

function takeHeld({ consumers }: Work): Held {
  return [...consumers].map((consumer): Held[number] => [consumer, consumer.takeHeld()])
}

/** Everything but the commit itself. What goes wrong is why nothing has happened. */
async function complete(work: Work, held: Held): Promise<void> {
  try {
    await work.idle()
    work.assertWhole()
    for (const [consumer, ranges] of held)
      if (ranges.length > 0) await consumer.settleRanges(ranges, 'accepted', await work.join())
  } catch (error) {
    if (isMillraceError(error) && error.code === 'transaction-rolled-back') throw error
    const why = error instanceof Error ? error.message : String(error)
    throw new MillraceError('transaction-rolled-back', `nothing of the transaction has happened: ${why}`, {
      cause: error,
    })
  }
}

/**
 * Gives back what was received, in front of what has been fetched and not been looked at, which therefore goes back too: what
 * comes again comes in order.
 */
async function undo({ consumers, transaction }: Work, held: Held, resume: boolean): Promise<void> {
  await Promise.all([...consumers].map((consumer) => consumer.rewind()))
  for (const [consumer, ranges] of held) await consumer.settleRanges(ranges, 'rolled-back').catch(() => {})
  await transaction?.rollback().catch(() => {})
  if (resume) for (const consumer of consumers) consumer.resume()
}
