import type { ConnectionOptions } from '../../gateway/amqp10/host.ts'
import type { SaslServer, SaslStep } from '../../wire/amqp10/sasl/sasl.ts'
import type { Logger } from '../log.ts'
import { Guesses } from './guesses.ts'
import { Passwords } from './passwords.ts'
import type { UserSettings } from './user-settings.ts'

/** How a connection gets in. */
export type Entry = Pick<ConnectionOptions, 'sasl' | 'saslOptional' | 'user'>

const WRONG: SaslStep = { kind: 'failed', code: 1 }
const LATER: SaslStep = { kind: 'failed', code: 4 }

/** Who may connect to this server, and by which mechanisms. */
export class Authenticator {
  failedLogins = 0
  private readonly users: readonly UserSettings[]
  private readonly passwords: Passwords
  private readonly guesses = new Guesses()
  private readonly logger: Logger

  constructor(users: readonly UserSettings[], logger: Logger) {
    this.users = users
    this.passwords = new Passwords(users)
    this.logger = logger
  }

  /** `local`: the client is on this machine; `secure`: nobody else can read what it sends. */
  entryFor(remote: string, local: boolean, secure: boolean): Entry {
    // Without users only loopback is listened on; the second look costs nothing.
    const open = this.users.length === 0 && local
    const mechanisms = open ? ['ANONYMOUS'] : this.mechanisms(local || secure)
    return { sasl: () => new Login(this, remote, mechanisms), saslOptional: open }
  }

  private mechanisms(readable: boolean): readonly string[] {
    return readable && this.users.length > 0 ? ['PLAIN'] : []
  }

  /** A password sent as it is. */
  async plain(remote: string, user: string, password: string): Promise<SaslStep> {
    const right = await this.logIn(remote, user, password)
    if (right === undefined) return LATER
    return right ? { kind: 'done', identity: user } : WRONG
  }

  /** Whether it is the user's password; undefined when it has not been looked at. */
  async logIn(remote: string, user: string, password: string): Promise<boolean | undefined> {
    const address = addressOf(remote)
    if (!this.guesses.allows(address, user, performance.now())) {
      return this.failed(remote, user, 'too many wrong passwords; try again later')
    }
    const right = await this.passwords.check(user, password)
    if (right === undefined) return this.failed(remote, user, 'too many logins at once')
    if (right) {
      this.guesses.forget(address, user)
      return true
    }
    this.guesses.count(address, user, performance.now())
    this.failed(remote, user, 'wrong user or password')
    return false
  }

  failed(remote: string, user: string, reason: string): undefined {
    this.failedLogins++
    this.logger.warn({ event: 'login-failed', remote, user: user.slice(0, 256), reason }, 'login failed')
  }
}

function addressOf(remote: string): string {
  return remote.slice(0, remote.lastIndexOf(':'))
}

/** The SASL exchange of one connection. */
class Login implements SaslServer {
  private readonly authenticator: Authenticator
  private readonly remote: string
  private readonly offered: readonly string[]

  constructor(authenticator: Authenticator, remote: string, offered: readonly string[]) {
    this.authenticator = authenticator
    this.remote = remote
    this.offered = offered
  }

  mechanisms(): readonly string[] {
    return this.offered
  }

  start(mechanism: string, initial: Uint8Array): SaslStep | Promise<SaslStep> {
    if (!this.offered.includes(mechanism))
      return this.refuse(`mechanism ${mechanism.slice(0, 40)} is not offered`)
    if (mechanism === 'ANONYMOUS') return { kind: 'done', identity: '' }
    return this.plain(initial)
  }

  /** RFC 4616: acts as, NUL, is, NUL, password. */
  private plain(initial: Uint8Array): SaslStep | Promise<SaslStep> {
    const fields = Buffer.from(initial).toString('utf8').split('\0')
    const [actsAs, user, password] = fields
    if (fields.length !== 3 || !user) return this.refuse('malformed PLAIN response')
    if (actsAs !== '' && actsAs !== user) return this.refuse('acting as another user is not offered')
    return this.authenticator.plain(this.remote, user, password!)
  }

  next(): SaslStep {
    return this.refuse('a response that nothing asked for')
  }

  private refuse(reason: string): SaslStep {
    this.authenticator.failed(this.remote, '', reason)
    return WRONG
  }
}
