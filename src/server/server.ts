import { getRandomValues, randomUUID } from 'node:crypto'
import type { Server as HttpServer } from 'node:http'
import { Server as SecureHttpServer } from 'node:https'
import type { Server } from 'node:net'
import type { TlsOptions } from 'node:tls'
import type { Context } from '../client/context.ts'
import type { Random } from '../engine/ports/random.ts'
import { AmqpGateway } from '../gateway/amqp10/gateway.ts'
import { everything, type Permissions } from '../gateway/permissions.ts'
import { isMillraceError, MillraceError } from '../model/errors.ts'
import { makeAmqpServer, makeAmqpsServer, type SecureListener } from './amqp-listeners.ts'
import { Authenticator } from './auth/authenticator.ts'
import { UserPermissions } from './auth/user-permissions.ts'
import { ServedBroker } from './broker.ts'
import { Clients } from './clients.ts'
import type { Configuration } from './config/settings.ts'
import { makeHttpServer } from './http/http-server.ts'
import { pages } from './http/pages.ts'
import { logOfJournal } from './journal-log.ts'
import { type Listening, listen, stopListening } from './listen.ts'
import type { Logger } from './log.ts'
import { isLoopback } from './loopback.ts'
import { Metrics } from './metrics.ts'
import { readTls } from './tls-files.ts'
import { pause, within } from './waiting.ts'

export type ListenerName = 'amqp' | 'amqps' | 'http'
export type Listeners = Readonly<Partial<Record<ListenerName, Listening>>>

export interface StopReport {
  /** Everything that clients waited for was answered, and they left in good order. */
  readonly clean: boolean
  /** Sends that were not answered by the deadline; their producers do not know whether they are stored. */
  readonly unanswered: number
}

/** How often it is looked whether all sends have been answered. Milliseconds. */
const DRAIN_INTERVAL = 10
/** What clients have for their goodbye, after the deadline for their answers. Milliseconds. */
const GOODBYE = 2_000

/** A broker and its listeners. */
export class MillraceServer {
  /** Why the journal cannot confirm anything any more, as soon as it cannot. */
  readonly failed: Promise<MillraceError>
  readonly listeners: Partial<Record<ListenerName, Listening>> = {}
  stopping = false
  private readonly configuration: Configuration
  private readonly logger: Logger
  private readonly broker: ServedBroker
  private readonly clients: Clients
  private readonly authenticator: Authenticator
  private readonly permissions: Permissions
  private readonly metrics: Metrics = new Metrics()
  private readonly amqp: Server[] = []
  private amqps: SecureListener | undefined
  private http: HttpServer | SecureHttpServer | undefined

  constructor(configuration: Configuration, broker: ServedBroker, logger: Logger, version: string) {
    const { users } = configuration
    this.configuration = configuration
    this.logger = logger
    this.broker = broker
    this.failed = broker.failed
    this.permissions = users.length > 0 ? new UserPermissions(users) : everything
    this.authenticator = new Authenticator(users, logger)
    const gateway = makeGateway(configuration, broker, this.permissions, version)
    const limits = {
      maxConnections: configuration.limitsMaxConnections,
      connectionsPerSecond: configuration.limitsConnectionsPerSecond,
      handshakeTimeout: configuration.limitsHandshakeTimeout,
    }
    const { authenticator } = this
    this.clients = new Clients({ gateway, authenticator, loop: broker.loop }, limits, logger)
  }

  /** A connection in this process, to be closed before the server is stopped. */
  client(): Promise<Context> {
    return this.broker.client()
  }

  /** Rejects with `argument-invalid`. */
  async listen(tls: TlsOptions | undefined): Promise<void> {
    const { host, port, tlsPort, httpHost, httpPort } = this.configuration
    if (port !== 'off') {
      this.amqp.push(makeAmqpServer(this.clients))
      this.listeners.amqp = await listen(this.amqp.at(-1)!, host, port, 'port')
    }
    if (tls && tlsPort !== 'off') {
      this.amqps = makeAmqpsServer(this.clients, tls)
      this.amqp.push(this.amqps.server)
      this.listeners.amqps = await listen(this.amqps.server, host, tlsPort, 'tls.port')
    }
    if (httpPort !== 'off') {
      this.http = this.makeHttp(tls)
      this.listeners.http = await listen(this.http, httpHost, httpPort, 'http.port')
    }
  }

  private makeHttp(tls: TlsOptions | undefined): HttpServer | SecureHttpServer {
    const { httpNames, httpHost, httpTls } = this.configuration
    const { metrics, authenticator, permissions, clients, broker } = this
    const vitals = {
      engine: broker.engine,
      failure: () => broker.failure,
      diskFull: () => broker.diskFull,
      stopping: () => this.stopping,
    }
    const routes = pages({ vitals, metrics, authenticator, permissions, counts: () => clients.counts() })
    return makeHttpServer({ names: [...httpNames, httpHost], tls: httpTls ? tls : undefined }, routes)
  }

  /** Reads the certificate again, as after it was renewed. One that cannot be used changes nothing, and is logged. */
  renewCertificate(): void {
    try {
      const tls = readTls(this.configuration, this.logger, Date.now())
      if (!tls) return
      this.amqps?.renew(tls)
      if (this.http instanceof SecureHttpServer) this.http.setSecureContext(tls)
      this.logger.info({ event: 'certificate-renewed', file: this.configuration.tlsCert }, 'new certificate')
    } catch (error) {
      if (!isMillraceError(error)) throw error
      this.logger.error({ event: 'certificate-unusable', reason: error.message }, 'the old certificate stays')
    }
  }

  /**
   * Takes no more clients, answers what those who are there wait for, tells them to leave (amqp:connection:forced), and
   * closes the directory. What is not answered by the deadline (milliseconds) is cut.
   */
  async stop(deadline: number): Promise<StopReport> {
    this.stopping = true
    for (const server of this.amqp) stopListening(server)
    this.clients.hold()
    const unanswered = await this.drain(deadline)
    const goodbye = { condition: 'amqp:connection:forced', description: 'the server is shutting down' }
    const left = await within(this.clients.dismiss(goodbye), GOODBYE)
    await this.release()
    return { clean: unanswered === 0 && left, unanswered }
  }

  /** Waits until all sends have been answered, and says how many have not by the deadline. */
  private async drain(deadline: number): Promise<number> {
    const end = performance.now() + deadline
    while (this.clients.undecided > 0 && !this.broker.failure && performance.now() < end)
      await pause(DRAIN_INTERVAL)
    return this.clients.undecided
  }

  /** Lets go of everything at once. */
  async release(): Promise<void> {
    this.clients.destroy()
    this.metrics.close()
    for (const server of this.amqp) stopListening(server)
    if (this.http) {
      stopListening(this.http)
      this.http.closeAllConnections()
    }
    await this.broker.close()
  }
}

/** Names of temporary destinations are the permission to send to them. */
const unguessable: Random = { next: () => getRandomValues(new Uint32Array(1))[0]! / 2 ** 32 }

function makeGateway(
  configuration: Configuration,
  broker: ServedBroker,
  permissions: Permissions,
  version: string,
): AmqpGateway {
  return new AmqpGateway(broker.engine, {
    containerId: `millrace-${randomUUID()}`,
    version,
    clock: broker.clock,
    random: unguessable,
    registry: broker.registry,
    permissions,
    maxMessageBytes: configuration.limitsMaxMessageBytes,
    maxLinks: configuration.limitsMaxLinks,
    unsettledBytes: configuration.limitsUnsettledBytes,
    idleTimeout: configuration.limitsIdleTimeout,
    handshakeTimeout: configuration.limitsHandshakeTimeout,
  })
}

/**
 * Opens the directory and listens. Rejects with `argument-invalid`, `directory-locked`, `directory-unusable`,
 * `journal-newer`; then nothing is left open.
 */
export async function startServer(
  configuration: Configuration,
  logger: Logger,
  version: string,
): Promise<MillraceServer> {
  refuseStrangers(configuration)
  const tls = readTls(configuration, logger, Date.now())
  const broker = await ServedBroker.open(
    configuration.data,
    {
      maxMessageBytes: configuration.limitsMaxMessageBytes,
      policies: configuration.policies,
      memoryBytes: configuration.limitsMemoryBytes,
      transactionTimeout: configuration.limitsTransactionTimeout,
      maxTransactions: configuration.limitsMaxTransactions,
      maxTransactionOperations: configuration.limitsMaxTransactionOperations,
      openOperations: configuration.limitsOpenOperations,
      maxPrepared: configuration.limitsMaxPrepared,
      checkBack: {
        first: configuration.preparedFirstCheck,
        interval: configuration.preparedCheckInterval,
        max: configuration.preparedMaxChecks,
      },
      virtualTopics: configuration.virtualTopics,
    },
    logOfJournal(logger, () => performance.now()),
  )
  const server = new MillraceServer(configuration, broker, logger, version)
  try {
    await server.listen(tls)
    return server
  } catch (error) {
    await server.release()
    throw error
  }
}

/** Whoever can reach a port beyond loopback must say who they are. Throws `argument-invalid`. */
function refuseStrangers({ host, httpHost, httpPort, port, tlsPort, users }: Configuration): void {
  if (users.length > 0) return
  const wide = [
    port !== 'off' || tlsPort !== 'off' ? (['host', host] as const) : undefined,
    httpPort !== 'off' ? (['http.host', httpHost] as const) : undefined,
  ].find((asked) => asked && !isLoopback(asked[1]))
  if (!wide) return
  throw new MillraceError(
    'argument-invalid',
    `${wide[0]} is ${wide[1]}, which others can reach, and there are no users; list some in millrace.yaml ('millrace passwd' makes their password lines), or set ${wide[0]} to 127.0.0.1`,
  )
}
