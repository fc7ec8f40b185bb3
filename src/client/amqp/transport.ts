import type { Socket } from 'node:net'

/** Writes them in one piece, as far as the socket is concerned; answers what `write` does. */
export function writePieces(
  socket: Pick<Socket, 'cork' | 'uncork' | 'write'>,
  pieces: readonly Uint8Array[],
  done?: (error?: Error | null) => void,
): boolean {
  const last = pieces.length - 1
  if (last === 0) return socket.write(pieces[0]!, done)
  socket.cork()
  for (let i = 0; i < last; i++) socket.write(pieces[i]!)
  const takesMore = socket.write(pieces[last]!, done)
  socket.uncork()
  return takesMore
}

/**
 * What was read has been taken in: its memory is given back at once, mostly to the next read. As garbage it would make V8
 * search the whole heap, which counts what lies outside.
 */
export function forget({ buffer, length }: Buffer): void {
  // Otherwise others have parts of it.
  if (buffer.byteLength === length) (buffer as ArrayBuffer).transfer(0)
}
