import type { CompositeDestination, Destination } from '../../model/destination.ts'
import { MillraceError } from '../../model/errors.ts'

/** How a composite goes over the wire: as a queue of the address of all its members. */
export function addressee(destination: Destination | CompositeDestination): Destination {
  return destination.kind === 'composite' ? { kind: 'queue', name: destination.name } : destination
}

/** Where a broker listens, and as whom to come. */
export interface Address {
  readonly host: string
  readonly port: number
  readonly tls: boolean
  readonly username: string | undefined
  readonly password: string | undefined
  /** For messages: the URL without user and password. */
  readonly name: string
}

const defaultPorts = { amqp: 5672, amqps: 5671 } as const

/** The addresses of `amqp://…`, `amqps://…`, or `failover:(…,…)` in their order. Throws `url-invalid`. */
export function parseAddresses(url: string): Address[] {
  const list = /^failover:(?:\/\/)?\((.*)\)$/i.exec(url)?.[1]
  if (list !== undefined) return list.split(',').map((each) => parseAddress(each.trim()))
  if (/^failover:/i.test(url)) {
    throw unusable(url, 'write failover:(amqp://one,amqp://two)')
  }
  return [parseAddress(url)]
}

/** One URL for several, each of which may name several addresses. */
export function joinAddresses(urls: readonly string[]): string {
  const each = urls.map((url) => /^failover:(?:\/\/)?\((.*)\)$/i.exec(url)?.[1] ?? url)
  return `failover:(${each.join(',')})`
}

function parseAddress(url: string): Address {
  const scheme = /^(amqps?):\/\//i.exec(url)?.[1]?.toLowerCase() as keyof typeof defaultPorts | undefined
  if (scheme === undefined) throw unusable(url, 'it begins with amqp:// or amqps://')
  const parsed = parse(url)
  const { hostname, port, username, password, pathname, search } = parsed
  if (hostname === '') throw unusable(url, 'it names no host')
  if ((pathname !== '' && pathname !== '/') || search !== '') {
    throw unusable(url, 'nothing follows the port; settings are options of connect')
  }
  const number = port === '' ? defaultPorts[scheme] : Number(port)
  return {
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    port: number,
    tls: scheme === 'amqps',
    username: username === '' ? undefined : decode(url, username),
    password: password === '' ? undefined : decode(url, password),
    name: `${scheme}://${hostname}:${number}`,
  }
}

function parse(url: string): URL {
  try {
    return new URL(url)
  } catch (cause) {
    throw unusable(url, 'host or port are malformed', cause)
  }
}

function decode(url: string, text: string): string {
  try {
    return decodeURIComponent(text)
  } catch (cause) {
    throw unusable(url, 'user and password are percent-encoded', cause)
  }
}

/** Passwords are left out of the message. */
function unusable(url: string, why: string, cause?: unknown): MillraceError {
  const shown = url.replace(/\/\/[^@/]*@/g, '//…@')
  return new MillraceError('url-invalid', `${JSON.stringify(shown)} names no AMQP broker: ${why}`, { cause })
}
