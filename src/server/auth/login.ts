import { hostCrypto } from '../../client/amqp/crypto.ts'
import { parsePlain } from '../../wire/amqp10/sasl/plain.ts'
import type { SaslServer, SaslStep } from '../../wire/amqp10/sasl/sasl.ts'
import { SCRAM_SHA_256, ScramServer } from '../../wire/amqp10/sasl/scram.ts'
import type { Authenticator } from './authenticator.ts'

const WRONG: SaslStep = { kind: 'failed', code: 1 }
const LATER: SaslStep = { kind: 'failed', code: 4 }

/** The SASL exchange of one connection. */
export class Login implements SaslServer {
  private readonly authenticator: Authenticator
  private readonly remote: string
  private readonly offered: readonly string[]
  private scram: ScramServer | undefined
  private claimed = ''

  constructor(authenticator: Authenticator, remote: string, offered: readonly string[]) {
    this.authenticator = authenticator
    this.remote = remote
    this.offered = offered
  }

  mechanisms(): readonly string[] {
    return this.offered
  }

  start(mechanism: string, initial: Uint8Array): SaslStep | Promise<SaslStep> {
    if (!this.offered.includes(mechanism)) {
      return this.refuse(`mechanism ${mechanism.slice(0, 40)} is not offered`)
    }
    if (mechanism === 'ANONYMOUS') return { kind: 'done', identity: '' }
    if (mechanism !== SCRAM_SHA_256) return this.plain(initial)
    this.scram = new ScramServer(hostCrypto, (user) => this.authenticator.scramUsers.keysOf(user))
    return this.follow(this.scram, this.scram.start(initial))
  }

  next(response: Uint8Array): SaslStep | Promise<SaslStep> {
    const { scram } = this
    return scram ? this.follow(scram, scram.next(response)) : this.refuse('a response that nothing asked for')
  }

  private async plain(initial: Uint8Array): Promise<SaslStep> {
    const parsed = parsePlain(initial)
    if (!parsed) return this.refuse('malformed PLAIN response')
    const right = await this.authenticator.logIn(this.remote, parsed.user, parsed.password)
    if (right === undefined) return LATER
    return right ? { kind: 'done', identity: parsed.user } : WRONG
  }

  private async follow(scram: ScramServer, next: SaslStep | Promise<SaslStep>): Promise<SaslStep> {
    const { authenticator, remote } = this
    const step = await next
    if (this.claimed === '' && scram.claimed !== '') {
      this.claimed = scram.claimed
      if (!authenticator.mayTry(remote, this.claimed)) return LATER
    }
    if (step.kind === 'done') authenticator.right(remote, step.identity)
    else if (step.kind === 'failed') authenticator.wrong(remote, this.claimed)
    return step
  }

  private refuse(reason: string): SaslStep {
    this.authenticator.failed(this.remote, '', reason)
    return WRONG
  }
}
