import type { PolicyRule } from '../../engine/options.ts'
import { type UserSettings, users } from '../auth/user-settings.ts'
import {
  bytes,
  choice,
  count,
  duration,
  flag,
  type Kind,
  names,
  type Port,
  patternOrOff,
  port,
  text,
} from './kinds.ts'
import { policyRules } from './policy-rules.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'
export type LogFormat = 'text' | 'json'

/** Everything that `millrace serve` can be told. Sizes in bytes, times in milliseconds. */
export interface Configuration {
  readonly data: string
  readonly host: string
  readonly port: Port
  readonly tlsCert: string | undefined
  readonly tlsKey: string | undefined
  readonly tlsCa: string | undefined
  readonly tlsPort: Port
  readonly httpHost: string
  readonly httpPort: Port
  readonly httpTls: boolean
  readonly httpNames: readonly string[]
  readonly users: readonly UserSettings[]
  readonly policies: readonly PolicyRule[]
  readonly virtualTopics: string | false
  readonly limitsMaxConnections: number
  readonly limitsConnectionsPerSecond: number
  readonly limitsMaxLinks: number
  readonly limitsUnsettledBytes: number
  readonly limitsMaxMessageBytes: number
  readonly limitsHandshakeTimeout: number
  readonly limitsIdleTimeout: number
  readonly limitsMemoryBytes: number
  readonly limitsTransactionTimeout: number
  readonly limitsMaxTransactions: number
  readonly limitsMaxTransactionOperations: number
  readonly limitsOpenOperations: number
  readonly limitsMaxPrepared: number
  readonly preparedFirstCheck: number
  readonly preparedCheckInterval: number
  readonly preparedMaxChecks: number
  readonly logLevel: LogLevel
  readonly logFormat: LogFormat
  readonly shutdownTimeout: number
}

export interface Setting<T> {
  /** Where it stands in millrace.yaml; flag and variable have their names from it. */
  readonly path: string
  readonly kind: Kind<T>
  readonly fallback: T
  readonly help: string
  /** Has no flag and no variable: it does not fit in one, or does not belong where others can see it. */
  readonly fileOnly?: true
}

type Settings = { readonly [K in keyof Configuration]: Setting<Configuration[K]> }

/** `data` when nothing shall be kept. */
export const IN_MEMORY = 'memory:'

const MiB = 1024 * 1024
const file = text('the name of a file', 'FILE') as Kind<string | undefined>
const host = text('a name or address of this machine', 'HOST')

/** The one table: flags, variables, keys of the file, the help and docs/server.md follow it. */
export const settings: Settings = {
  data: {
    path: 'data',
    kind: text('the name of a directory', 'DIR'),
    fallback: './millrace-data',
    help: 'the directory that holds everything; created when there is none',
  },
  host: {
    path: 'host',
    kind: host,
    fallback: '127.0.0.1',
    help: 'where AMQP listens; beyond loopback it needs users',
  },
  port: { path: 'port', kind: port, fallback: 5672, help: 'AMQP; 0 makes every listener take a free port' },
  tlsCert: {
    path: 'tls.cert',
    kind: file,
    fallback: undefined,
    help: 'certificate chain (PEM); with it and tls.key, AMQP listens with TLS as well',
  },
  tlsKey: { path: 'tls.key', kind: file, fallback: undefined, help: 'its private key (PEM)' },
  tlsCa: {
    path: 'tls.ca',
    kind: file,
    fallback: undefined,
    help: 'authorities (PEM) one of which must have signed the certificate of every client',
  },
  tlsPort: { path: 'tls.port', kind: port, fallback: 5671, help: 'AMQP with TLS' },
  httpHost: {
    path: 'http.host',
    kind: host,
    fallback: '127.0.0.1',
    help: 'where /health and /metrics listen; beyond loopback it needs users',
  },
  httpPort: { path: 'http.port', kind: port, fallback: 8161, help: '/health and /metrics' },
  httpTls: {
    path: 'http.tls',
    kind: flag,
    fallback: false,
    help: 'HTTP with the certificate of tls.cert',
  },
  httpNames: {
    path: 'http.names',
    kind: names,
    fallback: [],
    help: 'further names by which HTTP may be addressed',
  },
  users: {
    path: 'users',
    kind: users,
    fallback: [],
    help: 'who may connect, and what for; without users everybody on this machine may do everything',
    fileOnly: true,
  },
  virtualTopics: {
    path: 'virtualTopics',
    kind: patternOrOff,
    fallback: 'VirtualTopic.#',
    help: 'topics that queues named Consumer.GROUP.TOPIC take from; off: none',
  },
  policies: {
    path: 'policies',
    kind: policyRules,
    fallback: [],
    help: 'what queues do with their messages, by name; the first rule that matches counts when a queue is created',
    fileOnly: true,
  },
  limitsMaxConnections: {
    path: 'limits.maxConnections',
    kind: count(1),
    fallback: 20_000,
    help: 'connections at a time',
  },
  limitsConnectionsPerSecond: {
    path: 'limits.connectionsPerSecond',
    kind: count(1),
    fallback: 2_000,
    help: 'new connections a second',
  },
  limitsMaxLinks: {
    path: 'limits.maxLinks',
    kind: count(1, 65_536),
    fallback: 1_024,
    help: 'producers and consumers of one connection',
  },
  limitsUnsettledBytes: {
    path: 'limits.unsettledBytes',
    kind: bytes(64 * 1024),
    fallback: 16 * MiB,
    help: 'sent and not yet confirmed, per connection',
  },
  limitsMaxMessageBytes: {
    path: 'limits.maxMessageBytes',
    kind: bytes(1024),
    fallback: 128 * MiB,
    help: 'the largest message',
  },
  limitsHandshakeTimeout: {
    path: 'limits.handshakeTimeout',
    kind: duration,
    fallback: 10_000,
    help: 'for TLS, and then for login and open',
  },
  limitsIdleTimeout: {
    path: 'limits.idleTimeout',
    kind: duration,
    fallback: 60_000,
    help: 'clients that are silent for so long are taken for dead',
  },
  limitsMemoryBytes: {
    path: 'limits.memoryBytes',
    kind: bytes(64 * 1024),
    fallback: 256 * MiB,
    help: 'messages of level memory, of all queues together',
  },
  limitsTransactionTimeout: {
    path: 'limits.transactionTimeout',
    kind: duration,
    fallback: 5 * 60_000,
    help: 'a transaction in which nothing happens for so long is rolled back',
  },
  limitsMaxTransactions: {
    path: 'limits.maxTransactions',
    kind: count(1),
    fallback: 10_000,
    help: 'transactions that are open at a time',
  },
  limitsMaxTransactionOperations: {
    path: 'limits.maxTransactionOperations',
    kind: count(1),
    fallback: 1_000_000,
    help: 'of one transaction: messages it settles, and messages it sends times the queues they go to',
  },
  limitsOpenOperations: {
    path: 'limits.openOperations',
    kind: count(1),
    fallback: 4_000_000,
    help: 'the same of all open transactions together',
  },
  limitsMaxPrepared: {
    path: 'limits.maxPrepared',
    kind: count(1),
    fallback: 10_000,
    help: 'half messages that are undecided',
  },
  preparedFirstCheck: {
    path: 'prepared.firstCheck',
    kind: duration,
    fallback: 6_000,
    help: 'when the producers of an undecided half message are asked for it',
  },
  preparedCheckInterval: {
    path: 'prepared.checkInterval',
    kind: duration,
    fallback: 30_000,
    help: 'how long after that they are asked again, and so on',
  },
  preparedMaxChecks: {
    path: 'prepared.maxChecks',
    kind: count(1),
    fallback: 15,
    help: 'how often they are asked; then an operator has to decide',
  },
  logLevel: {
    path: 'log.level',
    kind: choice(['debug', 'info', 'warn', 'error']),
    fallback: 'info',
    help: 'what is worth a line',
  },
  logFormat: {
    path: 'log.format',
    kind: choice(['text', 'json']),
    fallback: 'text',
    help: 'for people or for programs',
  },
  shutdownTimeout: {
    path: 'shutdown.timeout',
    kind: duration,
    fallback: 20_000,
    help: 'what clients wait for is still answered for so long',
  },
}

export const settingKeys: readonly (keyof Configuration)[] = Object.keys(settings) as (keyof Configuration)[]

/** `limits.maxLinks` → `limits-max-links` */
export function flagOf(path: string): string {
  return path.replaceAll('.', '-').replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

/** `limits.maxLinks` → `MILLRACE_LIMITS_MAX_LINKS` */
export function variableOf(path: string): string {
  return `MILLRACE_${flagOf(path).replaceAll('-', '_').toUpperCase()}`
}

type Kebab<S extends string> = S extends `${infer Head}${infer Rest}`
  ? Head extends Lowercase<Head>
    ? `${Head}${Kebab<Rest>}`
    : `-${Lowercase<Head>}${Kebab<Rest>}`
  : S

/** Flags that set something; one for each setting that is not for the file only. */
export type SettingFlag = Kebab<Exclude<keyof Configuration, 'users' | 'policies'>>

/** The settings that have a flag, by it. */
export const settingsByFlag: ReadonlyMap<SettingFlag, keyof Configuration> = new Map(
  settingKeys
    .filter((key) => !settings[key].fileOnly)
    .map((key) => [flagOf(settings[key].path) as SettingFlag, key]),
)

/** The default as somebody would write it; undefined when there is none. */
export function defaultOf(key: keyof Configuration): string | undefined {
  const { kind, fallback } = settings[key] as Setting<unknown>
  if (fallback === undefined || (Array.isArray(fallback) && fallback.length === 0)) return undefined
  return kind.show?.(fallback) ?? `${fallback as string | number | boolean}`
}
