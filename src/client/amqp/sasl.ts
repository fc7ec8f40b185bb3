import type { SaslClient } from '../../wire/amqp10/sasl/sasl.ts'
import type { Dialled } from './dial.ts'

/** Who to come as: the best mechanism that the broker offers and the line allows. */
export class Credentials implements SaslClient {
  private readonly dialled: Dialled

  constructor(dialled: Dialled) {
    this.dialled = dialled
  }

  choose(mechanisms: readonly string[]): { mechanism: string; initial: Uint8Array | null } | null {
    const { username, password = '', secure } = this.dialled
    if (username === undefined) {
      return mechanisms.includes('ANONYMOUS') ? { mechanism: 'ANONYMOUS', initial: Buffer.alloc(0) } : null
    }
    if (secure && mechanisms.includes('PLAIN')) {
      return { mechanism: 'PLAIN', initial: Buffer.from(`\0${username}\0${password}`) }
    }
    return null
  }

  next(): Uint8Array {
    throw new Error('nothing is asked by PLAIN and ANONYMOUS')
  }
}
