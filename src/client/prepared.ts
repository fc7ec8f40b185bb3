import { MillraceError } from '../model/errors.ts'
import { Message, type Settling } from './message.ts'
import type { CheckAnswer, IncomingCheck, ProviderChecks, ProviderPrepared, SendReceipt } from './provider.ts'

/** What has become of the work that a half message belongs to; 'unknown': ask again later. */
export type Decision = 'commit' | 'rollback' | 'unknown'

/** Looks up, for a half message that nobody has decided, what became of it. Throws: as 'unknown'. */
export type CheckHandler<T = unknown> = (message: PreparedMessage<T>) => Decision | Promise<Decision>

/**
 * A half message: stored, durable and invisible. It survives its sender and the broker, and is sent or forgotten when it is
 * decided, by whoever knows the id. Of those that are not, the broker asks the producers of their group; see answerChecks.
 */
export class HalfMessage {
  /** By which it is decided, also on another connection. */
  readonly id: string
  readonly messageId: string
  private readonly prepared: ProviderPrepared

  /** @internal */
  constructor(prepared: ProviderPrepared, receipt: SendReceipt) {
    this.prepared = prepared
    this.messageId = receipt.messageId
    if (receipt.prepared === undefined)
      throw new MillraceError('illegal-state', 'the broker has taken the message for a whole one')
    this.id = receipt.prepared
  }

  /** Sends it. Resolves when that is durable. Rejects with `prepared-not-found` when it was decided before. */
  commit(): Promise<void> {
    return this.prepared.decide(this.id, 'commit')
  }

  /** Forgets it. Resolves and rejects as `commit`. */
  rollback(): Promise<void> {
    return this.prepared.decide(this.id, 'rollback')
  }
}

/** A half message as its producers are asked for it. */
export class PreparedMessage<T = unknown> extends Message<T> {
  /** By which it is decided. */
  readonly preparedId: string

  /** @internal */
  constructor(check: IncomingCheck) {
    super(check, undecided)
    this.preparedId = check.preparedId
  }
}

function refuse(): Promise<never> {
  return Promise.reject(
    new MillraceError('illegal-state', 'a half message is not settled; answer commit, rollback or unknown'),
  )
}

const undecided: Settling = { acknowledge: refuse, settle: refuse }

/** Answers for a group of producers until it is closed, or its connection is. */
export class Checks implements AsyncDisposable {
  private readonly checks: ProviderChecks

  /** @internal */
  constructor(checks: ProviderChecks) {
    this.checks = checks
  }

  close(): Promise<void> {
    return this.checks.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/** Of what `handler` throws, and of what it returns when it is no decision, `report` is told. @internal */
export function answering<T>(handler: CheckHandler<T>, report: (error: unknown) => void): CheckAnswer {
  return async (check) => {
    try {
      const decision = await handler(new PreparedMessage<T>(check))
      if (decision === 'commit' || decision === 'rollback' || decision === 'unknown') return decision
      const told = JSON.stringify(decision)
      throw new MillraceError(
        'argument-invalid',
        `a check is answered commit, rollback or unknown, not ${told}`,
      )
    } catch (error) {
      report(error)
      return 'unknown'
    }
  }
}
