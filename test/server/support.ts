import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { type IncomingHttpHeaders, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import rhea, { type Connection, type ConnectionOptions, type EventContext, type Message } from 'rhea'
import { hashPassword, parseCredentials } from '../../src/server/auth/credentials.ts'
import type { UserSettings } from '../../src/server/auth/user-settings.ts'
import { type Configuration, settingKeys, settings } from '../../src/server/config/settings.ts'
import type { Logger } from '../../src/server/log.ts'
import { type MillraceServer, type StopReport, startServer } from '../../src/server/server.ts'

export function folder(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-server-'))
  t.after(() => rmSync(directory, { recursive: true, force: true, maxRetries: 3 }))
  return directory
}

/** What was logged, by level and event. */
export class Log implements Logger {
  readonly lines: { level: string; event: string; facts: Record<string, unknown>; text: string }[] = []
  debug: Logger['debug'] = this.keep('debug')
  info: Logger['info'] = this.keep('info')
  warn: Logger['warn'] = this.keep('warn')
  error: Logger['error'] = this.keep('error')

  private keep(level: string): Logger['debug'] {
    return (facts, text) => {
      const known = facts as Record<string, unknown>
      this.lines.push({ level, event: String(known['event']), facts: known, text })
    }
  }

  of(event: string): Record<string, unknown>[] {
    return this.lines.filter((line) => line.event === event).map(({ facts }) => facts)
  }
}

export interface Page {
  readonly status: number
  readonly body: string
  readonly headers: IncomingHttpHeaders
}

/** A server in this process, in memory unless told otherwise; stopped with the test. */
export class Served {
  readonly log: Log = new Log()
  readonly server: MillraceServer
  private stopped: Promise<StopReport> | undefined

  private constructor(server: MillraceServer, log: Log) {
    this.server = server
    this.log = log
  }

  static async start(t: TestContext, given: Partial<Configuration> = {}): Promise<Served> {
    const log = new Log()
    const served = new Served(await startServer(configure(given), log, '0.0.0'), log)
    t.after(() => served.stop())
    return served
  }

  stop(deadline = 0): Promise<StopReport> {
    this.stopped ??= this.server.stop(deadline)
    return this.stopped
  }

  get port(): number {
    return this.server.listeners.amqp!.port
  }

  get tlsPort(): number {
    return this.server.listeners.amqps!.port
  }

  connect(t: TestContext, options: Partial<ConnectionOptions> = {}): Promise<Connection> {
    return connect(t, { port: this.port, username: 'anonymous', ...options })
  }

  /** GET, by default with the name under which it was reached. */
  async get(path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Page> {
    const { host, port } = this.server.listeners.http!
    const asked = request({ host, port, path, method, headers, agent: false }).end()
    const [response] = await once(asked, 'response')
    let body = ''
    for await (const chunk of response) body += chunk
    return { status: response.statusCode as number, body, headers: response.headers }
  }
}

export function configure(given: Partial<Configuration>): Configuration {
  const defaults = Object.fromEntries(settingKeys.map((key) => [key, settings[key].fallback]))
  return {
    ...(defaults as unknown as Configuration),
    data: 'memory:',
    port: 0,
    tlsPort: 0,
    httpPort: 0,
    ...given,
  }
}

/** Resolves when the connection is open; rejects with condition and description when it is refused. */
export async function connect(t: TestContext, options: Partial<ConnectionOptions>): Promise<Connection> {
  const connection = rhea
    .create_container()
    .connect({ host: '127.0.0.1', reconnect: false, ...options } as ConnectionOptions)
  t.after(() => connection.close())
  const refused = new Promise<never>((_, reject) => {
    const refuse = (context: EventContext): void => {
      const { condition, description, message } = (context.error ?? context.connection.error ?? {}) as {
        condition?: string
        description?: string
        message?: string
      }
      reject(new Error(`${condition}: ${description ?? message}`))
    }
    connection.on('connection_error', refuse)
    connection.on('disconnected', refuse)
  })
  refused.catch(() => {})
  await Promise.race([once(connection, 'connection_open'), refused])
  return connection
}

/** Sends, and resolves with the outcome's name, and the error of a refusal. */
export async function send(connection: Connection, address: string, message: Message): Promise<string> {
  const sender = connection.open_sender({ target: { address, capabilities: ['queue'] } })
  const refused = once(sender, 'sender_error').then(
    ([{ sender: link }]) => `refused ${link.error?.condition}`,
  )
  const outcome = once(sender, 'sendable').then(() => {
    const decided = Promise.race(
      ['accepted', 'released', 'rejected', 'modified'].map((name) => once(sender, name).then(() => name)),
    )
    sender.send(message)
    return decided
  })
  const result = await Promise.race([outcome, refused])
  sender.close()
  return result
}

/** Takes so many messages and accepts them. */
export async function receive(connection: Connection, address: string, count: number): Promise<Message[]> {
  const receiver = connection.open_receiver({
    source: { address, capabilities: ['queue'] },
    credit_window: 0,
  })
  const messages: Message[] = []
  const all = new Promise<void>((resolve, reject) => {
    receiver.on('message', ({ message }: EventContext) => {
      messages.push(message!)
      if (messages.length === count) resolve()
    })
    receiver.on('receiver_error', ({ receiver: link }: EventContext) => reject(link?.error))
  })
  receiver.add_credit(count)
  await all
  receiver.close()
  return messages
}

export async function user(
  name: string,
  password: string,
  permissions: UserSettings['permissions'],
): Promise<UserSettings> {
  return { name, credentials: parseCredentials(await hashPassword(password))!, permissions }
}

export const ALL: UserSettings['permissions'] = [
  {
    operations: ['send', 'receive', 'browse', 'create', 'delete', 'manage'],
    destination: '#',
    kind: undefined,
  },
]

interface KeyPair {
  readonly cert: Buffer
  readonly key: Buffer
}

export interface Certificates {
  /** The path of one of the files. */
  readonly file: (name: string) => string
  readonly ca: Buffer
  readonly client: KeyPair
  readonly expired: KeyPair
}

/** An authority with certificates for the server and two clients, one of which has expired. */
export function certificates(directory: string): Certificates {
  const openssl = (...args: string[]): void => {
    execFileSync('openssl', args, { cwd: directory, stdio: ['ignore', 'ignore', 'pipe'] })
  }
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  openssl(
    'req',
    '-x509',
    ...key,
    '-days',
    '30',
    '-keyout',
    'ca.key',
    '-out',
    'ca.pem',
    '-subj',
    '/CN=authority',
  )
  const sign = (name: string, days: number): void => {
    openssl('req', ...key, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', '/CN=localhost')
    const authority = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial']
    openssl('x509', '-req', '-in', `${name}.csr`, ...authority, '-days', `${days}`, '-out', `${name}.pem`)
  }
  sign('server', 30)
  sign('client', 30)
  sign('expired', -1)
  const file = (name: string): string => join(directory, name)
  const pair = (name: string): KeyPair => ({
    cert: readFileSync(file(`${name}.pem`)),
    key: readFileSync(file(`${name}.key`)),
  })
  return { file, ca: readFileSync(file('ca.pem')), client: pair('client'), expired: pair('expired') }
}
