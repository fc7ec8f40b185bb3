import { isUtf8 } from 'node:buffer'
import { MillraceError } from '../index.ts'

export interface Line {
  /** From 1. */
  readonly number: number
  /** Text, or bytes when they are not UTF-8. */
  readonly body: string | Uint8Array
  /** Bytes of the line without its end. */
  readonly size: number
}

/**
 * The lines of a stream of bytes. A line ends with LF or CRLF; the last one may end with the stream. At most one line is
 * kept in memory. Throws `message-too-large` for a line of more than `limit` bytes.
 */
export async function* readLines(stream: AsyncIterable<Uint8Array>, limit: number): AsyncGenerator<Line> {
  let pieces: Uint8Array[] = []
  let gathered = 0
  let number = 0
  for await (const chunk of stream) {
    let start = 0
    for (;;) {
      const end = chunk.indexOf(0x0a, start)
      const piece = chunk.subarray(start, end < 0 ? chunk.length : end)
      gathered += piece.length
      if (gathered > limit + 1) throw tooLong(number + 1, limit)
      pieces.push(piece)
      if (end < 0) break
      yield makeLine(++number, pieces, true)
      pieces = []
      gathered = 0
      start = end + 1
    }
  }
  if (gathered > 0) yield makeLine(number + 1, pieces, false)
}

function makeLine(number: number, pieces: readonly Uint8Array[], ended: boolean): Line {
  let bytes = pieces.length === 1 ? (pieces[0] as Uint8Array) : Buffer.concat(pieces)
  if (ended && bytes.at(-1) === 0x0d) bytes = bytes.subarray(0, -1)
  const body = isUtf8(bytes)
    ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8')
    : bytes
  return { number, body, size: bytes.length }
}

function tooLong(line: number, limit: number): MillraceError {
  return new MillraceError(
    'message-too-large',
    `line ${line} is longer than ${limit} bytes, the largest message this broker takes; split it, or send where it can be found`,
  )
}
