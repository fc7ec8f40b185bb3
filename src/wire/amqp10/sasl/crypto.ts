/** The cryptography that SCRAM needs, handed in by the host. */
export interface Crypto {
  sha256(data: Uint8Array): Uint8Array
  hmacSha256(key: Uint8Array, data: Uint8Array): Uint8Array
  /** 32 bytes. */
  pbkdf2Sha256(password: Uint8Array, salt: Uint8Array, iterations: number): Promise<Uint8Array>
  randomBytes(size: number): Uint8Array
  /** Of equal length. */
  timingSafeEqual(one: Uint8Array, other: Uint8Array): boolean
}
