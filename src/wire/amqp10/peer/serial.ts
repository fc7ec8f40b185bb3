/** Serial numbers of 32 bits (RFC 1982): they wrap, and are compared by the shorter way round. */

export function next(id: number): number {
  return (id + 1) >>> 0
}

/** How far `to` is ahead of `from`; negative when it is behind. */
export function distance(from: number, to: number): number {
  return (to - from) | 0
}
