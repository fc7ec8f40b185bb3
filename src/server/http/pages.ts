import type { Permissions } from '../../gateway/permissions.ts'
import type { Authenticator } from '../auth/authenticator.ts'
import { type Health, liveness, readiness, type Vitals } from '../health.ts'
import type { Metrics, TrafficCounts } from '../metrics.ts'
import { type Answer, type Asked, plain, type Route } from './http-server.ts'

export interface PagesHome {
  readonly vitals: Vitals
  readonly metrics: Metrics
  readonly authenticator: Authenticator
  readonly permissions: Permissions
  counts(): TrafficCounts
}

/** What the HTTP listener answers. */
export function pages(home: PagesHome): ReadonlyMap<string, Route> {
  const ready: Route = { answer: () => report(readiness(home.vitals)) }
  return new Map<string, Route>([
    ['/health', ready],
    ['/health/ready', ready],
    ['/health/live', { answer: () => report(liveness(home.vitals)) }],
    ['/metrics', { answer: (asked) => metrics(home, asked) }],
  ])
}

function report(health: Health): Answer {
  const body = `${JSON.stringify(health)}\n`
  return { status: health.status === 'ok' ? 200 : 503, type: 'application/json', body }
}

/** Names of queues tell something about a business: from elsewhere only for users that may manage. */
async function metrics(home: PagesHome, asked: Asked): Promise<Answer> {
  if (!asked.local) {
    const refusal = await refuse(home, asked)
    if (refusal) return refusal
  }
  const body = home.metrics.page(home.vitals.engine, home.counts())
  return { status: 200, type: 'text/plain; version=0.0.4; charset=utf-8', body }
}

async function refuse({ authenticator, permissions }: PagesHome, asked: Asked): Promise<Answer | undefined> {
  if (!asked.secure) return plain(403, 'metrics are for this machine; set http.tls to read them from others')
  const [user, password] = credentialsOf(asked.authorization)
  const challenge = { 'www-authenticate': 'Basic realm="millrace", charset="UTF-8"' }
  if (user === undefined) return { ...plain(401, 'who is it?'), headers: challenge }
  const right = await authenticator.logIn(asked.remote, user, password!)
  if (right === undefined) return plain(429, 'too many tries; wait a little')
  if (!right) return { ...plain(401, 'wrong user or password'), headers: challenge }
  return permissions.permits(user, 'manage', 'queue', '') ? undefined : plain(403, `${user} may not manage`)
}

/** RFC 7617. */
function credentialsOf(authorization: string | undefined): [user?: string, password?: string] {
  const match = /^basic ([A-Za-z0-9+/=]+)$/i.exec(authorization ?? '')
  const text = match ? Buffer.from(match[1]!, 'base64').toString('utf8') : ''
  const at = text.indexOf(':')
  return at < 0 ? [] : [text.slice(0, at), text.slice(at + 1)]
}
