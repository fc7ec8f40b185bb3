import { setTimeout as pause } from 'node:timers/promises'
import { type Context, connect, embedded, type Handler, type Provider, queue } from '../../../src/index.ts'
import { type Database, idempotent, type Outbox, openInbox, openOutbox } from '../../../src/patterns/index.ts'
import { SeededRandom } from '../../../src/testing/index.ts'
import { type Bug, withBug } from './bugs.ts'
import { type Effects, type Fault, Fuse, fusedDatabase, fusedProvider } from './fuse.ts'

/** What a schedule has come to. All have to be 0. */
export interface Wrong {
  /** Orders that were committed and had no effect. */
  readonly lost: number
  /** Orders that had their effect more than once. */
  readonly twice: number
  /** Effects of orders that were never committed. */
  readonly phantoms: number
  /** Keys whose effects came in another order than their commits. */
  readonly disorder: number
  /** Orders that were sent twice although nobody had died and nothing was cut. */
  readonly needless: number
}

export interface Outcome {
  readonly wrong: Wrong
  /** How often each has befallen somebody. */
  readonly faults: ReadonlyMap<Fault, number>
}

/** A broker that is a process of its own. */
export interface KillableBroker {
  readonly url: string
  readonly provider: Provider
  /** Without a word. Resolves when it is gone; it is started again on its files. */
  kill(): Promise<void>
}

/** What cuts connections between processes and database; it counts those by itself. */
export interface Cutter {
  /** The database as it is seen through it. */
  readonly database: Database
  /** The next one that does something, before or after that, by a number of 0 to 1. Tells when it has happened. */
  cut(chance: number, done: () => void): void
}

export interface Setting {
  /** As the judge sees it, and everybody else where nothing cuts. */
  readonly database: Database
  readonly seed: number
  /** Whether transactions can be open side by side. */
  readonly concurrent: boolean
  /** How what is sent gets to the broker. Default rows. */
  readonly strategy?: 'rows' | 'half messages'
  /** Default: one in memory, which cannot be killed. */
  readonly broker?: KillableBroker | undefined
  readonly cutter?: Cutter | undefined
  readonly bug?: Bug | undefined
  /** How many are planned. Default 1 to 4. */
  readonly faults?: number | undefined
  /** Which. Default: all that are possible. */
  readonly kinds?: readonly Fault[] | undefined
}

const ORDERS = 8
const KEYS = 3
/** Steps of a life within which its fault comes. */
const STEPS = 40
const policy = { backoff: { delay: 0 }, maxDeliveries: Number.POSITIVE_INFINITY } as const
const checkBack = { first: 5, interval: 10, max: Number.MAX_SAFE_INTEGER } as const
const producerGroup = 'shop'
/** Longest time that a process is paused. Milliseconds. */
const LONGEST_PAUSE = 20

interface Job {
  readonly n: number
}

/** What ends a life of a process. */
type End = () => Promise<void>
type Role = 'application' | 'relay' | 'consumer'

let names = 0

/** An application, relays and a consumer, each of which is started again when it dies, until every order is through. */
export class Schedule {
  private readonly setting: Setting
  /** As processes see it. */
  private readonly database: Database
  private readonly random: SeededRandom
  private readonly url: string
  private readonly provider: Provider
  private readonly jobs = queue<Job>(`jobs ${++names}`, { policy })
  private readonly deliveries: (readonly [brokerId: string, n: number])[] = []
  private readonly over = Promise.withResolvers<void>()
  /** Those too whose life ended before it had begun. */
  private readonly connections: Context[] = []
  private readonly handling: Promise<unknown>[] = []
  private readonly faults: Map<Fault, number> = new Map()
  private readonly kinds: readonly Fault[]
  private isOver = false
  private planned: number

  constructor(setting: Setting) {
    const { database, seed, broker, cutter, bug, faults, kinds } = setting
    this.setting = setting
    this.database = withBug(cutter?.database ?? database, bug)
    this.random = new SeededRandom(seed)
    this.url = broker?.url ?? `memory:faults-${names}`
    this.provider = broker?.provider ?? embedded({ checkBack })
    this.planned = faults ?? 1 + Math.floor(this.random.next() * 4)
    this.kinds = kinds ?? [
      'process ended',
      'process ended',
      'process paused',
      ...(cutter ? (['connection cut', 'connection cut'] as const) : (['statement failed'] as const)),
      // There are few schedules with one.
      ...(broker ? Array.from({ length: 5 }, () => 'broker killed' as const) : []),
    ]
  }

  async run(): Promise<Outcome> {
    const half = this.setting.strategy === 'half messages'
    await using keeper = await connect(this.url, { provider: this.provider })
    keeper.on('error', () => {})
    await keeper.declare(this.jobs)
    const running = [
      this.keep('relay', (fuse) => (half ? this.answerer(fuse) : this.relay(fuse)), false),
      this.keep('relay', (fuse) => (half ? this.answerer(fuse) : this.relay(fuse)), false),
      this.keep('consumer', (fuse) => this.consumer(fuse), false),
    ]
    await this.keep('application', (fuse) => this.application(fuse), true)
    await this.through(keeper)
    this.isOver = true
    this.over.resolve()
    await Promise.all(running)
    for (const mq of this.connections) await mq.close({ drain: 0 })
    await Promise.allSettled(this.handling)
    return { wrong: await this.judge(), faults: this.faults }
  }

  /** Runs a process, and starts it again when it dies, until the schedule is over, or, `once`, until it has done its work. */
  private async keep(role: Role, start: (fuse: Fuse) => Promise<End>, once: boolean): Promise<void> {
    while (!this.isOver) {
      const left = Promise.withResolvers<void>()
      const fuse = this.fuse(role, () => left.resolve())
      let end: End | undefined
      try {
        end = await start(fuse)
        if (once && !fuse.dead) return
        await Promise.race([left.promise, this.over.promise])
      } catch {
        // It has died, or a connection was cut: the next life goes on where this one has ended.
        await pause(1)
      }
      await end?.()
      // One that was paused goes on, beside the one that has taken its place.
      if (!fuse.pauses) fuse.kill()
      if (this.faults.size > 0) await this.timePasses()
    }
  }

  private fuse(role: Role, left: () => void): Fuse {
    const armed = this.planned > 0 && this.random.next() < 0.7
    if (armed) this.planned--
    const at = armed ? Math.floor(this.random.next() * STEPS) : -1
    const fault = this.kinds[Math.floor(this.random.next() * this.kinds.length)]!
    const count: Effects['count'] = (what) => void this.faults.set(what, (this.faults.get(what) ?? 0) + 1)
    const effects: Effects = {
      count,
      ended: left,
      paused: (life) => this.stopped(role, life, left),
      killBroker: () => this.setting.broker!.kill(),
      cutConnection: () => this.setting.cutter!.cut(this.random.next(), () => count('connection cut')),
    }
    return new Fuse(at, fault, !this.setting.concurrent, effects)
  }

  /**
   * The process stands still and hears nothing. What it has claimed runs out; a consumer is taken for dead, and another one
   * gets what it holds. Then it goes on as if nothing had happened.
   */
  private async stopped(role: Role, { mq }: Fuse, left: () => void): Promise<void> {
    if (role === 'consumer') {
      // In the middle of an acknowledgement the connection only closes after that.
      void mq?.close({ drain: 0 })
      left()
    }
    if (role === 'relay') await this.timePasses()
    await pause(this.random.next() * LONGEST_PAUSE)
  }

  /** Claims of which nobody knows run out; not those that somebody is just telling of, who may be the one that stands still. */
  private async timePasses(): Promise<void> {
    const { database } = this.setting
    const { skipLocked, statement } = database.dialect
    const claimed = `SELECT id FROM millrace_outbox WHERE claim IS NOT NULL ${skipLocked}`
    const end = statement('UPDATE millrace_outbox SET claimed_for = 0 WHERE id = ?')
    await database.transaction(async (tx) => {
      const { rows } = await tx.execute(claimed)
      for (const { id } of rows) await tx.execute(end, [Number(id)])
    })
  }

  private async application(fuse: Fuse): Promise<End> {
    const database = fusedDatabase(this.database, fuse)
    const place = await this.placing(database, fuse)
    const { rows } = await database.execute('SELECT note FROM orders')
    const there = new Set(rows.map(({ note }) => String(note)))
    for (let n = 0; n < ORDERS; n++) {
      if (there.has(`order ${n}`)) continue
      await place(n, true).catch((error) => {
        if (!(error instanceof Refusal)) throw error
      })
      await place(n, false)
    }
    return async () => {}
  }

  /** Places an order and sends it, in one transaction, which the application may refuse in the end. */
  private async placing(
    database: Database,
    fuse: Fuse,
  ): Promise<(n: number, refuse: boolean) => Promise<void>> {
    const insert = database.dialect.statement('INSERT INTO orders (note) VALUES (?)')
    if (this.setting.strategy === 'half messages') {
      const outbox = await this.halfMessages(database, fuse)
      return (n, refuse) =>
        outbox.transaction(async ({ executor, send }) => {
          await executor.execute(insert, [`order ${n}`])
          await send(this.jobs, { n })
          if (refuse) throw new Refusal()
        })
    }
    const outbox = await openOutbox({ database })
    return (n, refuse) =>
      database.transaction(async (tx) => {
        await tx.execute(insert, [`order ${n}`])
        await outbox.send(tx, this.jobs, { n }, { key: `key ${n % KEYS}` })
        if (refuse) throw new Refusal()
      })
  }

  private async halfMessages(database: Database, fuse: Fuse): Promise<Outbox> {
    const mq = await this.connect(fuse)
    const outbox = await openOutbox({ database, halfMessages: { mq, producerGroup, commitWithin: 60 } })
    if (this.setting.bug === 'check-back that does not look')
      Object.assign(outbox.halfMessages!, { check: async () => 'rollback' })
    return outbox
  }

  /** Another process of the application's group: the broker asks it too. */
  private async answerer(fuse: Fuse): Promise<End> {
    await this.halfMessages(fusedDatabase(this.database, fuse), fuse)
    return () => fuse.mq!.close({ drain: 0 })
  }

  private async connect(fuse: Fuse): Promise<Context> {
    const reconnect = { initial: 5, max: 50, firstAttempts: 1_000 }
    const mq = await connect(this.url, { provider: fusedProvider(this.provider, fuse), reconnect })
    this.connections.push(mq)
    fuse.mq = mq
    mq.on('error', () => {})
    return mq
  }

  private async relay(fuse: Fuse): Promise<End> {
    const mq = await this.connect(fuse)
    const outbox = await openOutbox({ database: fusedDatabase(this.database, fuse) })
    const relay = await outbox.relay(mq, { poll: { min: 1, max: 4 }, lease: '1m', batch: 3 })
    relay.on('error', () => {})
    return async () => {
      await relay.close({ drain: fuse.dead ? 0 : 1_000 })
      await mq.close({ drain: 0 })
    }
  }

  private async consumer(fuse: Fuse): Promise<End> {
    const mq = await this.connect(fuse)
    const inbox = await openInbox({ database: fusedDatabase(this.database, fuse), consumer: 'stock' })
    const insert = this.database.dialect.statement('INSERT INTO orders (note) VALUES (?)')
    const handler = idempotent<Job, unknown>(
      ({ body }, { executor }) => executor.execute(insert, [`effect ${body.n}`]),
      { inbox },
    )
    const careless: Handler<Job> = async (message, context) => {
      await message.acknowledge()
      await handler(message, context)
    }
    const handle = this.setting.bug === 'acknowledge before commit' ? careless : handler
    const deaf = new AbortController().signal
    mq.consume<Job>(this.jobs, (message, context) => {
      this.deliveries.push([message.brokerId, message.body.n])
      const heard = fuse.pauses ? Object.create(context, { signal: { value: deaf } }) : context
      const handled = Promise.resolve(handle(message, heard))
      this.handling.push(handled)
      return handled
    })
    return () => mq.close({ drain: 0 })
  }

  /** Resolves when outbox and queue are empty, and no half message is undecided. */
  private async through(mq: Context): Promise<void> {
    for (let empty = 0, turns = 1; empty < 3; turns++) {
      if (this.faults.size > 0 && turns % 20 === 0) await this.timePasses()
      empty = (await this.left(mq)) === 0 ? empty + 1 : 0
      await pause(1)
    }
  }

  private async left(mq: Context): Promise<number> {
    const { rows } = await this.setting.database.execute('SELECT COUNT(*) AS n FROM millrace_outbox')
    try {
      const [queues, halves] = [await mq.management.queues(), await mq.prepared.list()]
      const left = queues.find(({ name }) => name === this.jobs.name)!.messages
      return Number(rows[0]!['n']) + left + halves.length
    } catch {
      // The broker is on its way.
      return Number.POSITIVE_INFINITY
    }
  }

  private async judge(): Promise<Wrong> {
    const { rows } = await this.setting.database.execute('SELECT note FROM orders ORDER BY id')
    const notes = rows.map(({ note }) => String(note))
    const numbers = (kind: string) =>
      notes.filter((note) => note.startsWith(kind)).map((note) => Number(note.slice(kind.length)))
    const [orders, effects] = [numbers('order '), numbers('effect ')]
    const sent = new Map<number, Set<string>>()
    for (const [id, n] of this.deliveries) sent.set(n, (sent.get(n) ?? new Set()).add(id))
    const ordered =
      this.setting.strategy === 'half messages' ? [] : Array.from({ length: KEYS }, (_, key) => key)
    const keys = ordered.map((key) => effects.filter((n) => n % KEYS === key))
    return {
      lost: orders.filter((n) => !effects.includes(n)).length,
      twice: effects.length - new Set(effects).size,
      phantoms: effects.filter((n) => !orders.includes(n)).length,
      disorder: keys.filter((of) => of.some((n, index) => n < (of[index - 1] ?? 0))).length,
      needless: this.faults.size > 0 ? 0 : [...sent.values()].filter((ids) => ids.size > 1).length,
    }
  }
}

class Refusal extends Error {}
