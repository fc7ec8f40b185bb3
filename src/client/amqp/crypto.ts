import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import type { Crypto } from '../../wire/amqp10/sasl/crypto.ts'

const HASH_BYTES = 32
const derive = promisify(pbkdf2)

/** The cryptography of the host, as SCRAM asks for it. */
export const hostCrypto: Crypto = {
  sha256: (data) => createHash('sha256').update(data).digest(),
  hmacSha256: (key, data) => createHmac('sha256', key).update(data).digest(),
  pbkdf2Sha256: (password, salt, iterations) => derive(password, salt, iterations, HASH_BYTES, 'sha256'),
  randomBytes: (size) => randomBytes(size),
  timingSafeEqual: (one, other) => timingSafeEqual(one, other),
}
