/**
 * Looks into stored payloads, since the engine never decodes a format itself. Answers undefined for what is absent and for a
 * payload that cannot be decoded.
 */
export interface Contents {
  /** The id by which repetitions of the message are recognized. */
  deduplicationId(format: number, payload: Uint8Array): string | undefined
  property(format: number, payload: Uint8Array, name: string): unknown
}
