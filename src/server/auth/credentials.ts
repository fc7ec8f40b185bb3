import { randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto'
import { hostCrypto } from '../../client/amqp/crypto.ts'
import type { ScramKeys } from '../../wire/amqp10/sasl/scram.ts'

/** What is kept of a password to check it when it is sent as it is (PLAIN). */
export interface ScryptHash {
  readonly cost: number
  readonly blockSize: number
  readonly parallelization: number
  readonly salt: Buffer
  readonly hash: Buffer
}

/** At least one of the two. */
export interface Credentials {
  readonly scrypt: ScryptHash | undefined
  readonly scram: ScramKeys | undefined
}

/** 32 MiB and about 50 ms a try: much for who guesses, little for who logs in. */
const SCRYPT_COST = 2 ** 15
const BLOCK_SIZE = 8
const HASH_BYTES = 32
const SALT_BYTES = 16
/** The client pays these at every connection, so they are fewer than a thief of the file should have to pay. */
export const SCRAM_ITERATIONS = 100_000
/** Bounds on what a file may ask of this process. */
const MOST_MEMORY = 512 * 1024 * 1024
const MOST_ITERATIONS = 10_000_000

/**
 * The line that millrace.yaml takes as `password`: `scrypt$N$r$p$SALT$HASH,scram-sha-256$ITERATIONS$SALT$STORED$SERVER`,
 * binary parts in base64. Either part may be taken away.
 */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES)
  const hash = await scryptOf(password, {
    cost: SCRYPT_COST,
    blockSize: BLOCK_SIZE,
    parallelization: 1,
    salt,
  })
  const {
    iterations,
    salt: scramSalt,
    storedKey,
    serverKey,
  } = await scramKeysOf(password, randomBytes(SALT_BYTES), SCRAM_ITERATIONS)
  const fields = ['scrypt', SCRYPT_COST, BLOCK_SIZE, 1, base64(salt), base64(hash)]
  const scram = ['scram-sha-256', iterations, base64(scramSalt), base64(storedKey), base64(serverKey)]
  return `${fields.join('$')},${scram.join('$')}`
}

async function scramKeysOf(password: string, salt: Uint8Array, iterations: number): Promise<ScramKeys> {
  const { pbkdf2Sha256, hmacSha256, sha256 } = hostCrypto
  // SASLprep for what people type: one form for characters that can be written in several.
  const salted = await pbkdf2Sha256(Buffer.from(password.normalize('NFKC')), salt, iterations)
  return {
    iterations,
    salt,
    storedKey: sha256(hmacSha256(salted, Buffer.from('Client Key'))),
    serverKey: hmacSha256(salted, Buffer.from('Server Key')),
  }
}

/** Undefined when it is not such a line. */
export function parseCredentials(line: string): Credentials | undefined {
  let scryptHash: ScryptHash | undefined
  let scram: ScramKeys | undefined
  for (const part of line.trim().split(',')) {
    const [kind, ...fields] = part.split('$')
    if (kind === 'scrypt' && !scryptHash) scryptHash = parseScrypt(fields)
    else if (kind === 'scram-sha-256' && !scram) scram = parseScram(fields)
    else return undefined
    if (kind === 'scrypt' ? !scryptHash : !scram) return undefined
  }
  return scryptHash || scram ? { scrypt: scryptHash, scram } : undefined
}

function parseScrypt(fields: readonly string[]): ScryptHash | undefined {
  const [cost, blockSize, parallelization] = fields.slice(0, 3).map(Number) as [number, number, number]
  const [salt, hash] = fields.slice(3).map(bytesOf)
  if (fields.length !== 5 || !salt || hash?.length !== HASH_BYTES) return undefined
  const whole = [cost, blockSize, parallelization].every((value) => Number.isSafeInteger(value) && value > 0)
  if (!whole || cost < 2 || (cost & (cost - 1)) !== 0) return undefined
  if (memoryOf({ cost, blockSize, parallelization }) > MOST_MEMORY) return undefined
  return { cost, blockSize, parallelization, salt, hash }
}

function parseScram(fields: readonly string[]): ScramKeys | undefined {
  const iterations = Number(fields[0])
  const [salt, storedKey, serverKey] = fields.slice(1).map(bytesOf)
  if (fields.length !== 4 || !salt || storedKey?.length !== HASH_BYTES || serverKey?.length !== HASH_BYTES)
    return undefined
  if (!Number.isSafeInteger(iterations) || iterations < 4096 || iterations > MOST_ITERATIONS) return undefined
  return { iterations, salt, storedKey, serverKey }
}

function bytesOf(field: string): Buffer | undefined {
  return /^[A-Za-z0-9+/]+={0,2}$/.test(field) ? Buffer.from(field, 'base64') : undefined
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}

function memoryOf({ cost, blockSize, parallelization }: Omit<ScryptHash, 'salt' | 'hash'>): number {
  return 128 * blockSize * (cost + parallelization)
}

function scryptOf(password: string, parameters: Omit<ScryptHash, 'hash'>): Promise<Buffer> {
  const { cost, blockSize, parallelization, salt } = parameters
  const options: ScryptOptions = {
    cost,
    blockSize,
    parallelization,
    maxmem: memoryOf(parameters) + 1024 * 1024,
  }
  return new Promise((resolve, reject) => {
    scrypt(password, salt, HASH_BYTES, options, (error, hash) => (error ? reject(error) : resolve(hash)))
  })
}

/** Whether it is this password; costs the same whether it is or not. */
export async function matches(password: string, { scrypt: expected, scram }: Credentials): Promise<boolean> {
  if (expected) return timingSafeEqual(await scryptOf(password, expected), expected.hash)
  const { salt, iterations, storedKey } = scram!
  return timingSafeEqual((await scramKeysOf(password, salt, iterations)).storedKey, storedKey)
}

/** Credentials that no password fits, with which the time of a real attempt is spent on users that do not exist. */
export function impossibleCredentials(): Credentials {
  const [salt, hash] = [randomBytes(SALT_BYTES), randomBytes(HASH_BYTES)]
  return {
    scrypt: { cost: SCRYPT_COST, blockSize: BLOCK_SIZE, parallelization: 1, salt, hash },
    scram: undefined,
  }
}
