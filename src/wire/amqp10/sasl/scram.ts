import type { Crypto } from './crypto.ts'
import type { SaslStep } from './sasl.ts'

/**
 * SCRAM-SHA-256 (RFC 5802, RFC 7677), both ends, without channel binding:
 *
 *   client  n,,n=USER,r=NONCE
 *   server  r=NONCE+MORE,s=SALT,i=ITERATIONS
 *   client  c=biws,r=NONCE+MORE,p=PROOF
 *   server  v=SIGNATURE
 */
export const SCRAM_SHA_256 = 'SCRAM-SHA-256'

/** What a server keeps of a password (RFC 5802 §3): nobody can log in with it. */
export interface ScramKeys {
  readonly iterations: number
  readonly salt: Uint8Array
  readonly storedKey: Uint8Array
  readonly serverKey: Uint8Array
}

const NONCE_BYTES = 18
/** RFC 7677 §4 asks for no fewer; more than the upper bound would keep a client busy for a server's pleasure. */
const MIN_ITERATIONS = 4096
const MAX_ITERATIONS = 10_000_000

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64')
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8')
}

/** The attributes `a=…,b=…` of a message, whose names must be these, in this order; extensions may follow. */
function attributes(message: string, names: string): string[] | undefined {
  const fields = message.split(',')
  const values = [...names].map((name, i) =>
    fields[i]?.startsWith(`${name}=`) ? fields[i].slice(2) : undefined,
  )
  return values.includes(undefined) ? undefined : (values as string[])
}

function xor(one: Uint8Array, other: Uint8Array): Uint8Array {
  return one.map((byte, i) => byte ^ other[i]!)
}

/** The client's end of one exchange. */
export class ScramClient {
  private readonly crypto: Crypto
  private readonly password: Uint8Array
  private readonly nonce: string
  private readonly firstBare: string
  private serverSignature: Uint8Array | undefined
  private verified = false

  /** The password in the one form of characters that can be written in several. */
  constructor(crypto: Crypto, user: string, password: string) {
    this.crypto = crypto
    this.password = Buffer.from(password.normalize('NFKC'))
    this.nonce = base64(crypto.randomBytes(NONCE_BYTES))
    const escaped = user.normalize('NFKC').replaceAll('=', '=3D').replaceAll(',', '=2C')
    this.firstBare = `n=${escaped},r=${this.nonce}`
  }

  initial(): Uint8Array {
    return Buffer.from(`n,,${this.firstBare}`)
  }

  /** Throws when the server says what it should not. */
  next(challenge: Uint8Array): Uint8Array | Promise<Uint8Array> {
    const message = text(challenge)
    if (!this.serverSignature) return this.prove(message)
    this.verify(message)
    return Buffer.alloc(0)
  }

  /** The server's last message may come with its yes instead of before. Throws when it has not proven itself. */
  finish(data: Uint8Array | null): void {
    if (!this.verified && data) this.verify(text(data))
    if (!this.verified) throw new Error('the server has not proven that it knows the password')
  }

  private async prove(serverFirst: string): Promise<Uint8Array> {
    const { crypto } = this
    const [nonce, salt, count] = attributes(serverFirst, 'rsi') ?? []
    const iterations = Number(count)
    if (!nonce?.startsWith(this.nonce) || nonce.length === this.nonce.length || !salt) {
      throw new Error('the server’s first message is malformed')
    }
    if (!(Number.isInteger(iterations) && iterations >= MIN_ITERATIONS && iterations <= MAX_ITERATIONS)) {
      throw new Error(`the server asks for ${count} iterations`)
    }
    const salted = await crypto.pbkdf2Sha256(this.password, Buffer.from(salt, 'base64'), iterations)
    const clientKey = crypto.hmacSha256(salted, Buffer.from('Client Key'))
    const serverKey = crypto.hmacSha256(salted, Buffer.from('Server Key'))
    const withoutProof = `c=biws,r=${nonce}`
    const exchange = Buffer.from(`${this.firstBare},${serverFirst},${withoutProof}`)
    this.serverSignature = crypto.hmacSha256(serverKey, exchange)
    const proof = xor(clientKey, crypto.hmacSha256(crypto.sha256(clientKey), exchange))
    return Buffer.from(`${withoutProof},p=${base64(proof)}`)
  }

  private verify(serverFinal: string): void {
    const [signature] = attributes(serverFinal, 'v') ?? []
    const expected = this.serverSignature
    const given = Buffer.from(signature ?? '', 'base64')
    if (!expected || given.length !== expected.length || !this.crypto.timingSafeEqual(given, expected)) {
      throw new Error('the server does not know the password')
    }
    this.verified = true
  }
}

const failed: SaslStep = { kind: 'failed', code: 1 }

/**
 * The server's end of one exchange. `keysOf` answers keys that nobody has the password of for a user who does not exist,
 * the same each time, so that nobody learns who exists.
 */
export class ScramServer {
  private readonly crypto: Crypto
  private readonly keysOf: (user: string) => ScramKeys | Promise<ScramKeys>
  private user = ''
  private keys: ScramKeys | undefined
  private gs2 = ''
  private nonce = ''
  private soFar = ''
  private proven = false

  constructor(crypto: Crypto, keysOf: (user: string) => ScramKeys | Promise<ScramKeys>) {
    this.crypto = crypto
    this.keysOf = keysOf
  }

  /** The user that the client says it is; '' until it has said so. Not proven before `done`. */
  get claimed(): string {
    return this.user
  }

  /** The first message, empty when the client did not send it with its choice of mechanism. */
  start(initial: Uint8Array): SaslStep | Promise<SaslStep> {
    return initial.length === 0 ? { kind: 'challenge', bytes: initial } : this.next(initial)
  }

  next(response: Uint8Array): SaslStep | Promise<SaslStep> {
    if (this.proven) return response.length === 0 ? { kind: 'done', identity: this.user } : failed
    return this.keys ? this.final(text(response), this.keys) : this.first(text(response))
  }

  private async first(message: string): Promise<SaslStep> {
    // gs2-header: no channel binding (n, or y: the client could, but we do not offer it), acting as nobody else.
    const [, gs2, actsAs, bare] = /^([ny],(a=[^,]*)?,)(.*)$/s.exec(message) ?? []
    const [name, nonce] = attributes(bare ?? '', 'nr') ?? []
    if (gs2 === undefined || !name || !nonce) return failed
    if (actsAs !== undefined && actsAs !== `a=${name}`) return failed
    this.user = name.replaceAll('=2C', ',').replaceAll('=3D', '=')
    const keys = await this.keysOf(this.user)
    this.keys = keys
    this.gs2 = gs2
    this.nonce = nonce + base64(this.crypto.randomBytes(NONCE_BYTES))
    const answer = `r=${this.nonce},s=${base64(keys.salt)},i=${keys.iterations}`
    this.soFar = `${bare},${answer}`
    return { kind: 'challenge', bytes: Buffer.from(answer) }
  }

  /** The signature goes as a challenge of its own: there are clients that read no data in the outcome. */
  private final(message: string, keys: ScramKeys): SaslStep {
    const [binding, nonce] = attributes(message, 'cr') ?? []
    const end = message.lastIndexOf(',p=')
    if (binding !== base64(Buffer.from(this.gs2)) || nonce !== this.nonce || end < 0) return failed
    const { crypto } = this
    const exchange = Buffer.from(`${this.soFar},${message.slice(0, end)}`)
    const proof = Buffer.from(message.slice(end + 3), 'base64')
    if (proof.length !== keys.storedKey.length) return failed
    const clientKey = xor(proof, crypto.hmacSha256(keys.storedKey, exchange))
    if (!crypto.timingSafeEqual(crypto.sha256(clientKey), keys.storedKey)) return failed
    this.proven = true
    return {
      kind: 'challenge',
      bytes: Buffer.from(`v=${base64(crypto.hmacSha256(keys.serverKey, exchange))}`),
    }
  }
}
