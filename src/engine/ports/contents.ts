/**
 * Looks into stored payloads, since the engine never decodes a format itself. Answers undefined for what is absent and for a
 * payload that cannot be decoded.
 */
export interface Contents {
  /** The id by which repetitions of the message are recognized. */
  deduplicationId(format: number, payload: Uint8Array): string | undefined
  /** A property of the message, as its receiver sees it. */
  property(format: number, payload: Uint8Array, name: string): unknown
  /**
   * What an identifier of the selector language stands for in the message in payload[start, end), which may be the first
   * bytes of a longer one: exact numbers as bigint, approximate ones as number. The headers that change on the way
   * (priority, durability, delivery count) are not asked for.
   */
  selectable(format: number, payload: Uint8Array, start: number, end: number, identifier: string): unknown
}
