/** What the SASL layer of a connection (core, 5.3) asks of the mechanisms. One object serves one connection. */

/** Codes of 5.3.3.6: 1 wrong credentials, 2 system, 3 system and permanent, 4 system and temporary. */
export type SaslFailure = 1 | 2 | 3 | 4

export type SaslStep =
  | { readonly kind: 'challenge'; readonly bytes: Uint8Array }
  /** `bytes`: additional data that goes with the outcome. */
  | { readonly kind: 'done'; readonly identity: string; readonly bytes?: Uint8Array | undefined }
  | { readonly kind: 'failed'; readonly code: SaslFailure }

export interface SaslServer {
  /** In order of preference. */
  mechanisms(): readonly string[]
  /** `mechanism` is whatever the client says, `initial` empty when it says nothing, `hostname` '' when absent. */
  start(mechanism: string, initial: Uint8Array, hostname: string): SaslStep | Promise<SaslStep>
  next(response: Uint8Array): SaslStep | Promise<SaslStep>
}

export interface SaslClient {
  /** Null when none of the mechanisms will do. */
  choose(mechanisms: readonly string[]): { mechanism: string; initial: Uint8Array | null } | null
  /** Throws when the challenge cannot be answered: the connection then ends as not authenticated. */
  next(challenge: Uint8Array): Uint8Array | Promise<Uint8Array>
  /** The server has said yes, with this additional data; throws when the server has not proven who it is. */
  finish?(data: Uint8Array | null): void
}
