import { createHash, createHmac } from 'node:crypto'
import type { ScramKeys } from '../../wire/amqp10/sasl/scram.ts'
import { SCRAM_ITERATIONS } from './credentials.ts'
import type { UserSettings } from './user-settings.ts'

const SALT_BYTES = 16

/** The SCRAM keys of all users, and of those who do not exist. */
export class ScramUsers {
  private readonly keys: ReadonlyMap<string, ScramKeys>
  private readonly secret: Buffer

  constructor(users: readonly UserSettings[]) {
    this.keys = new Map(
      users.flatMap(({ name, credentials: { scram } }) => (scram ? [[name, scram] as const] : [])),
    )
    // From what stays the same over restarts, and nobody else knows: a salt that changed would tell who does not exist.
    const secret = createHash('sha256')
    for (const { storedKey, serverKey } of this.keys.values()) secret.update(storedKey).update(serverKey)
    this.secret = secret.digest()
  }

  keysOf(user: string): ScramKeys {
    return this.keys.get(user) ?? this.keysOfNobody(user)
  }

  /** Nobody knows a password for them. */
  private keysOfNobody(user: string): ScramKeys {
    const derived = (what: string): Buffer =>
      createHmac('sha256', this.secret).update(`${what} ${user}`).digest()
    return {
      iterations: SCRAM_ITERATIONS,
      salt: derived('salt').subarray(0, SALT_BYTES),
      storedKey: derived('stored key'),
      serverKey: derived('server key'),
    }
  }
}
