/** SCRAM-SHA-256 (RFC 7677) for rhea, which brings none but takes mechanisms from outside. */
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'

type Answer = (error: Error | undefined, response: Buffer) => void

const hmac = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest()
const sha256 = (bytes: Buffer): Buffer => createHash('sha256').update(bytes).digest()
const xor = (a: Buffer, b: Buffer): Buffer => Buffer.from(a.map((byte, index) => byte ^ b[index]!))

export class ScramClient {
  private readonly password: string
  private readonly first: string

  constructor(username: string, password: string) {
    this.password = password
    this.first = `n=${username.replaceAll('=', '=3D').replaceAll(',', '=2C')},r=${randomBytes(18).toString('base64')}`
  }

  start(answer: Answer): void {
    answer(undefined, Buffer.from(`n,,${this.first}`))
  }

  step(challenge: Buffer, answer: Answer): void {
    const text = challenge.toString()
    // A server that sends its last message as a challenge waits for an empty answer.
    if (text.startsWith('v=')) return answer(undefined, Buffer.alloc(0))
    const {
      r: nonce = '',
      s: salt = '',
      i: rounds = '',
    } = Object.fromEntries(text.split(',').map((part) => [part[0], part.slice(2)]))
    const salted = pbkdf2Sync(this.password, Buffer.from(salt, 'base64'), Number(rounds), 32, 'sha256')
    const clientKey = hmac(salted, 'Client Key')
    const last = `c=biws,r=${nonce}`
    const proof = xor(clientKey, hmac(sha256(clientKey), `${this.first},${text},${last}`))
    answer(undefined, Buffer.from(`${last},p=${proof.toString('base64')}`))
  }
}
