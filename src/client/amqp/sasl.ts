import { encodePlain } from '../../wire/amqp10/sasl/plain.ts'
import type { SaslClient } from '../../wire/amqp10/sasl/sasl.ts'
import { SCRAM_SHA_256, ScramClient } from '../../wire/amqp10/sasl/scram.ts'
import { hostCrypto } from './crypto.ts'
import type { Dialled } from './dial.ts'

/** Who to come as: the best mechanism that the broker offers and the line allows. */
export class Credentials implements SaslClient {
  /** Why none would do, for people. */
  refusal: string | undefined
  private readonly dialled: Dialled
  private scram: ScramClient | undefined

  constructor(dialled: Dialled) {
    this.dialled = dialled
  }

  choose(mechanisms: readonly string[]): { mechanism: string; initial: Uint8Array | null } | null {
    const { username, password = '', secure } = this.dialled
    if (username === undefined) {
      if (mechanisms.includes('ANONYMOUS')) return { mechanism: 'ANONYMOUS', initial: Buffer.alloc(0) }
      this.refusal = 'it asks who we are; give user and password in the URL'
      return null
    }
    if (mechanisms.includes(SCRAM_SHA_256)) {
      this.scram = new ScramClient(hostCrypto, username, password)
      return { mechanism: SCRAM_SHA_256, initial: this.scram.initial() }
    }
    const plain = mechanisms.includes('PLAIN')
    if (plain && secure) return { mechanism: 'PLAIN', initial: encodePlain(username, password) }
    this.refusal = plain
      ? 'it takes the password only as it is, which everybody on the way could read; use amqps://'
      : `it offers ${mechanisms.join(', ') || 'nothing'}, of which none takes user and password here`
    return null
  }

  next(challenge: Uint8Array): Uint8Array | Promise<Uint8Array> {
    if (this.scram) return this.scram.next(challenge)
    throw new Error('the server asks for more than the mechanism has')
  }

  finish(data: Uint8Array | null): void {
    this.scram?.finish(data)
  }
}
