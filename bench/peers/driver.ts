/** A connection to a broker with a queue in it: what the loads need, in the words of none of the protocols. */
export interface Driver {
  /** Resolves when the broker has confirmed the message of this number. */
  send(number: number): Promise<unknown>
  /** Calls the handler for each message and acknowledges it; resolves when messages would come. Once. */
  consume(handler: (number: number) => void): Promise<void>
  /** Resolves when the acknowledgements are out, and the connection is closed. */
  close(): Promise<void>
}

export const SIZE = 100

/** A body of 100 bytes that carries its number. */
export function bodyOf(number: number): Buffer {
  const body = Buffer.alloc(SIZE, 7)
  body.writeUInt32BE(number)
  return body
}

export function numberOf(body: Uint8Array): number {
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength).readUInt32BE()
}
