const FNV_OFFSET = 0x811c9dc5
const FNV_PRIME = 0x01000193

/**
 * The number by which the index knows a message group (FNV-1a of its id, never 0): the id itself would make an entry as
 * large as its message. Two groups with one number are treated as one, which costs them nothing but working at once.
 */
export function groupNumber(id: string): number {
  let hash = FNV_OFFSET
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), FNV_PRIME)
  return hash >>> 0 || 1
}
