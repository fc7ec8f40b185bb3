/** Who gets in, by which way, and what becomes of a connection when the broker is killed. */
import type { Connection, ConnectionOptions } from 'rhea'
import { assert, assertEqual, type Check, restartBroker } from './checks.ts'
import { broker, connect, connected, detached, fresh, Inbox, mustRefuse, Outbox } from './client.ts'
import { subscribe } from './destinations.ts'
import { ScramClient } from './scram.ts'

const MESSAGES = 1_000
const KILL_AFTER = 300

async function roundtrip(connection: Connection, queue: string): Promise<void> {
  await (await Outbox.open(connection, queue)).mustAccept({ body: 'hello' })
  assertEqual((await (await Inbox.open(connection, queue)).accept(1))[0]!.body, 'hello', 'the body')
}

const overTls = {
  transport: 'tls',
  port: broker.tlsPort,
  ca: broker.ca,
  servername: 'localhost',
} as Partial<ConnectionOptions>

const byScram = (password: string): Partial<ConnectionOptions> =>
  ({
    sasl_mechanisms: { 'SCRAM-SHA-256': () => new ScramClient(broker.user, password) },
  }) as Partial<ConnectionOptions>

/** Sends every number until it is confirmed, again when the connection was lost meanwhile. */
class Resender {
  readonly confirmed = new Set<number>()
  private readonly outbox: Outbox
  private next = 0
  private again: number[] = []
  private readonly inFlight = new Set<number>()
  private killed: Promise<void> | undefined

  constructor(outbox: Outbox, connection: Connection) {
    this.outbox = outbox
    connection.on('disconnected', () => {
      this.again = [...this.again, ...this.inFlight]
      this.inFlight.clear()
    })
  }

  async run(): Promise<void> {
    const finished = new Promise<void>((resolve, reject) => {
      const step = (): void => {
        this.pump(step, reject)
        if (this.confirmed.size >= KILL_AFTER) this.killed ??= restartBroker()
        if (this.confirmed.size === MESSAGES) resolve()
      }
      this.outbox.link.on('sendable', step)
      step()
    })
    await finished
    await this.killed
  }

  /** Keeps 50 under way. */
  private pump(step: () => void, reject: (reason: Error) => void): void {
    while (this.inFlight.size < 50 && this.outbox.link.sendable()) {
      const number = this.again.shift() ?? this.next++
      if (number >= MESSAGES) break
      this.inFlight.add(number)
      void this.outbox.start({ body: number, durable: true }).then((outcome) => {
        if (outcome !== 'accepted') return reject(new Error(`${number} was ${outcome}`))
        this.inFlight.delete(number)
        this.confirmed.add(number)
        step()
      })
    }
  }
}

export const connections: Readonly<Record<string, Check>> = {
  TLS: () => connected((connection) => roundtrip(connection, fresh('tls')), overTls),

  PLAIN: () =>
    connected((connection) => roundtrip(connection, fresh('plain')), {
      sasl_mechanisms: plain(broker.password),
    } as Partial<ConnectionOptions>),

  'SCRAM-SHA-256': () =>
    connected((connection) => roundtrip(connection, fresh('scram')), byScram(broker.password)),

  'wrong password': async () => {
    await mustRefuse(connect({ password: 'wrong' }), 'Failed to authenticate')
    await mustRefuse(connect(byScram('wrong')), 'Failed to authenticate')
  },

  'forbidden destination': () =>
    connected(
      async (connection) => {
        await roundtrip(connection, `public.${fresh('rhea')}`)
        const forbidden = fresh('forbidden')
        await mustRefuse(Outbox.open(connection, forbidden), 'amqp:unauthorized-access')
        await mustRefuse(Inbox.open(connection, forbidden), 'amqp:unauthorized-access')
        const relayed = await (await Outbox.open(connection, { target: {} })).send({ to: forbidden, body: 1 })
        assertEqual(relayed, 'rejected amqp:unauthorized-access', 'the outcome of the relay')
      },
      { username: broker.limitedUser, password: broker.limitedPassword },
    ),

  'idle connection': () =>
    connected(
      async (connection) => {
        await new Promise((resolve) => setTimeout(resolve, 1_500))
        await roundtrip(connection, fresh('idle'))
      },
      { idle_time_out: 500 },
    ),

  reconnect: () =>
    connected(
      async (connection) => {
        const queue = fresh('reconnect')
        const outbox = await Outbox.open(connection, queue)
        const inbox = await Inbox.open(connection, { source: queue, credit_window: 20 })
        const seen = new Set<number>()
        const receiving = (async () => {
          while (seen.size < MESSAGES) {
            const { message, delivery } = await inbox.next(30_000)
            seen.add(message.body)
            delivery.accept()
          }
        })()
        const resender = new Resender(outbox, connection)
        await Promise.all([resender.run(), receiving])
        assert(resender.confirmed.size === MESSAGES, 'not everything was confirmed')
        assertEqual(seen.size, MESSAGES, 'the number of different messages that came')
      },
      { reconnect: true, initial_reconnect_delay: 20, max_reconnect_delay: 200 },
    ),

  'subscription over a restart': async () => {
    const topic = fresh('survivor')
    const container = { container_id: fresh('survivor') }
    await connected(async (connection) => {
      await detached((await subscribe(connection, 'sub', topic)).link, 'receiver', false)
      const target = { address: topic, capabilities: ['topic'] }
      await (await Outbox.open(connection, { target })).mustAccept({ body: 'kept', durable: true })
    }, container)
    await restartBroker()
    await connected(async (connection) => {
      const inbox = await subscribe(connection, 'sub', topic)
      assertEqual((await inbox.accept(1))[0]!.body, 'kept', 'the body')
      await inbox.close()
    }, container)
  },

  'restart of the broker': async () => {
    const queue = fresh('restart')
    await connected(async (connection) => {
      const outbox = await Outbox.open(connection, queue)
      await outbox.mustAccept(...Array.from({ length: 100 }, (_, body) => ({ body, durable: true })))
      await (await Inbox.open(connection, queue)).accept(10)
    })
    await restartBroker()
    await connected(async (connection) => {
      const inbox = await Inbox.open(connection, queue)
      const bodies = (await inbox.drain(200)).map(({ message }) => message.body as number)
      // What was acknowledged a moment before the kill may come again; what was not must come.
      assertEqual(
        bodies.slice(-90),
        Array.from({ length: 90 }, (_, index) => index + 10),
        'what was kept',
      )
    })
  },
}

/** rhea's own, without its ANONYMOUS beside it. */
function plain(password: string): Record<string, unknown> {
  return {
    PLAIN: () => ({
      start: (answer: (error: undefined, response: Buffer) => void) =>
        answer(undefined, Buffer.from(`\0${broker.user}\0${password}`)),
    }),
  }
}
