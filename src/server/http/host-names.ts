import { isIP } from 'node:net'
import { isLoopback } from '../loopback.ts'

/**
 * Whether a request with this Host header was meant for this server. A web page can make a name of its own point to this
 * machine, and a browser would then ask us and let the page read the answer; it cannot do so with an address or with the
 * names of loopback. `names` are configured; `local` is the address at which the request arrived.
 */
export function isOurs(
  header: string | undefined,
  names: readonly string[],
  local: string | undefined,
): boolean {
  const host = hostOf(header)
  if (host === undefined) return false
  if (isLoopback(host) || names.some((name) => name.toLowerCase() === host)) return true
  return isIP(host) !== 0 && (host === local || `::ffff:${host}` === local)
}

/** Without port, brackets and capitals. */
function hostOf(header: string | undefined): string | undefined {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]+))(?::\d+)?$/i.exec(header ?? '')
  return (match?.[1] ?? match?.[2])?.toLowerCase()
}
