import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { type Credentials, impossibleCredentials, matches } from './credentials.ts'
import type { UserSettings } from './user-settings.ts'

/** Checks that may wait for their turn: beyond, they would wait longer than their clients do. */
const MOST_WAITING = 200

/**
 * Compares passwords with what is kept of them. One at a time: each takes a thread of those that also write the journal.
 * The last right password of each user is recognized by a keyed digest, so that a thousand clients that come back after a
 * restart of theirs do not wait for one another.
 */
export class Passwords {
  private readonly users: ReadonlyMap<string, UserSettings>
  private readonly nobody: Credentials = impossibleCredentials()
  private readonly key = randomBytes(32)
  private readonly known = new Map<string, Buffer>()
  private last: Promise<unknown> = Promise.resolve()
  private readonly mostWaiting: number
  private waiting = 0

  constructor(users: readonly UserSettings[], mostWaiting: number = MOST_WAITING) {
    this.mostWaiting = mostWaiting
    this.users = new Map(users.map((user) => [user.name, user]))
  }

  /** Whether `user` exists and this is the password; undefined when too many others wait to be told. */
  async check(user: string, password: string): Promise<boolean | undefined> {
    const digest = createHmac('sha256', this.key).update(password).digest()
    const known = this.known.get(user)
    if (known && timingSafeEqual(known, digest)) return true
    if (this.waiting >= this.mostWaiting) return undefined
    const credentials = this.users.get(user)?.credentials
    const right =
      (await this.inTurn(() => matches(password, credentials ?? this.nobody))) && credentials !== undefined
    if (right) this.known.set(user, digest)
    return right
  }

  private async inTurn(work: () => Promise<boolean>): Promise<boolean> {
    this.waiting++
    const result = this.last.then(work).finally(() => this.waiting--)
    this.last = result.catch(() => {})
    return result
  }
}
