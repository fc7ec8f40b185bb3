import type { Message } from '../../client/message.ts'
import { isMillraceError, MillraceError } from '../../model/errors.ts'

/** Somebody who was let in: it has a place until that is completed, released, or lost with the connection or the process. */
export class Admission implements AsyncDisposable {
  /** Of the place, from 1. Whoever loses it, the next one has the same. */
  readonly number: number
  /** Higher than that of everybody who had this place before; see Fence. */
  readonly token: number
  private readonly message: Message
  private readonly gone: () => void
  private readonly aborter = new AbortController()
  private completing: Promise<void> | undefined
  private releasing: Promise<void> | undefined

  /** `gone`: called when it is not held any more, for whatever reason. @internal */
  constructor(message: Message, number: number, token: number, gone: () => void) {
    this.message = message
    this.number = number
    this.token = token
    this.gone = gone
  }

  /** Aborted when the place is lost, with why: somebody else may have it now. Not when it is completed or released. */
  get signal(): AbortSignal {
    return this.aborter.signal
  }

  /**
   * Uses up the place: nobody gets it again. Resolves when that is durable; may be repeated. Rejects with `lock-lost` when the
   * place was lost before, and also when the connection was lost meanwhile: then nobody knows, and the place comes back unless
   * it was used up. `illegal-state` when it has been released.
   */
  complete(): Promise<void> {
    if (this.releasing)
      return Promise.reject(new MillraceError('illegal-state', `place ${this.number} has been released`))
    this.completing ??= this.settle(() => this.message.acknowledge())
    return this.completing
  }

  /** Gives the place to whoever asks next. May be repeated; what is lost need not be released, what is completed stays so. */
  async release(): Promise<void> {
    if (this.completing) {
      await this.completing.catch(() => {})
      return
    }
    if (this.signal.aborted) return
    this.releasing ??= this.settle(() => this.message.release()).catch((error) => {
      // It has gone back without being asked to.
      if (error !== this.signal.reason) throw error
    })
    await this.releasing
  }

  private async settle(how: () => Promise<void>): Promise<void> {
    this.signal.throwIfAborted()
    try {
      await how()
    } catch (error) {
      if (!isMillraceError(error) || !['delivery-settled', 'connection-lost', 'closed'].includes(error.code))
        throw error
      this.lose(error)
      throw this.signal.reason
    }
    this.gone()
  }

  /** @internal */
  lose(cause: MillraceError): void {
    this.gone()
    if (this.signal.aborted) return
    const why = `place ${this.number} is lost, and somebody else may have it`
    this.aborter.abort(new MillraceError('lock-lost', why, { cause }))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release()
  }
}
