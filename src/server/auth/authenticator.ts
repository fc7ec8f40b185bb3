import type { ConnectionOptions } from '../../gateway/amqp10/host.ts'
import { SCRAM_SHA_256 } from '../../wire/amqp10/sasl/scram.ts'
import type { Logger } from '../log.ts'
import { Guesses } from './guesses.ts'
import { Login } from './login.ts'
import { Passwords } from './passwords.ts'
import { ScramUsers } from './scram-users.ts'
import type { UserSettings } from './user-settings.ts'

/** How a connection gets in. */
export type Entry = Pick<ConnectionOptions, 'sasl' | 'saslOptional' | 'user'>

/** Who may connect to this server, and by which mechanisms. */
export class Authenticator {
  failedLogins = 0
  readonly scramUsers: ScramUsers
  private readonly users: readonly UserSettings[]
  private readonly passwords: Passwords
  private readonly guesses = new Guesses()
  private readonly logger: Logger

  constructor(users: readonly UserSettings[], logger: Logger) {
    this.users = users
    this.passwords = new Passwords(users)
    this.scramUsers = new ScramUsers(users)
    this.logger = logger
  }

  /** `local`: the client is on this machine; `secure`: nobody else can read what it sends. */
  entryFor(remote: string, local: boolean, secure: boolean): Entry {
    // Without users only loopback is listened on; the second look costs nothing.
    const open = this.users.length === 0 && local
    const mechanisms = open ? ['ANONYMOUS'] : this.mechanisms(local || secure)
    return { sasl: () => new Login(this, remote, mechanisms), saslOptional: open }
  }

  /** The better first: clients take the first that they know. */
  private mechanisms(readable: boolean): readonly string[] {
    const scram = this.users.some(({ credentials }) => credentials.scram) ? [SCRAM_SHA_256] : []
    return readable && this.users.length > 0 ? [...scram, 'PLAIN'] : scram
  }

  /** Whether it is the user's password; undefined when it has not been looked at. */
  async logIn(remote: string, user: string, password: string): Promise<boolean | undefined> {
    if (!this.mayTry(remote, user)) return undefined
    const right = await this.passwords.check(user, password)
    if (right === undefined) return this.failed(remote, user, 'too many logins at once')
    if (right) this.right(remote, user)
    else this.wrong(remote, user)
    return right
  }

  /** False, and logged, after too many wrong passwords. */
  mayTry(remote: string, user: string): boolean {
    if (this.guesses.allows(addressOf(remote), user, performance.now())) return true
    this.failed(remote, user, 'too many wrong passwords; try again later')
    return false
  }

  right(remote: string, user: string): void {
    this.guesses.forget(addressOf(remote), user)
  }

  wrong(remote: string, user: string): void {
    this.guesses.count(addressOf(remote), user, performance.now())
    this.failed(remote, user, 'wrong user or password')
  }

  failed(remote: string, user: string, reason: string): undefined {
    this.failedLogins++
    this.logger.warn({ event: 'login-failed', remote, user: user.slice(0, 256), reason }, 'login failed')
  }
}

function addressOf(remote: string): string {
  return remote.slice(0, remote.lastIndexOf(':'))
}
