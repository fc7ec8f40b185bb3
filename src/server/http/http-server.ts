import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createSecureServer, type Server as SecureServer } from 'node:https'
import type { TlsOptions } from 'node:tls'
import { isLoopback } from '../loopback.ts'
import { isOurs } from './host-names.ts'

export interface Answer {
  readonly status: number
  readonly type: 'application/json' | 'text/plain; version=0.0.4; charset=utf-8' | 'text/plain; charset=utf-8'
  readonly body: string
  readonly headers?: Readonly<Record<string, string>>
}

export interface Route {
  answer(request: Asked): Answer | Promise<Answer>
}

export interface Asked {
  readonly remote: string
  /** Comes from this machine. */
  readonly local: boolean
  /** Nobody else can read it. */
  readonly secure: boolean
  readonly authorization: string | undefined
}

export interface HttpSettings {
  readonly names: readonly string[]
  /** With TLS when given. Certificates are not asked for: probes have none. */
  readonly tls: Pick<TlsOptions, 'cert' | 'key' | 'minVersion'> | undefined
}

/** Requests are a line and a few headers, and so are answers: whoever needs longer does not want one. */
const bounds = { headersTimeout: 5_000, requestTimeout: 5_000, keepAliveTimeout: 5_000, maxHeaderSize: 8_192 }
const MOST_CONNECTIONS = 100

/** GET and nothing else, for the paths of `routes`. */
export function makeHttpServer(
  settings: HttpSettings,
  routes: ReadonlyMap<string, Route>,
): Server | SecureServer {
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    answerTo(request, settings, routes).then(
      (answer) => send(response, request.method === 'HEAD' ? { ...answer, body: '' } : answer),
      () => send(response, plain(500, 'internal error')),
    )
  }
  const { tls } = settings
  const server = tls
    ? createSecureServer({ cert: tls.cert, key: tls.key, minVersion: tls.minVersion, ...bounds }, handle)
    : createServer(bounds, handle)
  server.maxConnections = MOST_CONNECTIONS
  return server
}

async function answerTo(
  request: IncomingMessage,
  { names, tls }: HttpSettings,
  routes: ReadonlyMap<string, Route>,
): Promise<Answer> {
  const { socket, headers, method } = request
  if (!isOurs(headers.host, names, socket.localAddress))
    return plain(421, 'this server does not go by that name; add it to http.names')
  const route = routes.get((request.url ?? '').split('?', 1)[0]!)
  if (!route) return plain(404, `there is ${[...routes.keys()].join(', ')}`)
  if (method !== 'GET' && method !== 'HEAD')
    return { ...plain(405, 'only GET'), headers: { allow: 'GET, HEAD' } }
  const { remoteAddress = '', remotePort } = socket
  return route.answer({
    remote: `${remoteAddress}:${remotePort}`,
    local: isLoopback(remoteAddress),
    secure: tls !== undefined,
    authorization: headers.authorization,
  })
}

export function plain(status: number, text: string): Answer {
  return { status, type: 'text/plain; charset=utf-8', body: `${text}\n` }
}

function send(response: ServerResponse, { status, type, body, headers }: Answer): void {
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...headers,
  })
  response.end(body)
}
