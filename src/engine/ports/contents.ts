/**
 * Looks into stored payloads on behalf of headers exchanges. The engine never decodes a format itself.
 * Answers undefined for an absent property and for a payload that cannot be decoded.
 */
export interface Contents {
  property(format: number, payload: Uint8Array, name: string): unknown
}
