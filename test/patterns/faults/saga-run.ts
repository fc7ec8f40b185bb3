import assert from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'
import { amqp } from '../../../src/client/amqp/registration.ts'
import { type Context, connect, type Provider } from '../../../src/index.ts'
import {
  type Database,
  handled,
  idempotent,
  openInbox,
  PermanentError,
  type Saga,
  type SagaMessage,
  type SagaStep,
  saga,
} from '../../../src/patterns/index.ts'
import { headersOf, written } from '../../../src/patterns/saga/message.ts'
import { CrashableBroker } from '../crashable.ts'
import { sqlite } from '../subjects.ts'
import { fusedDatabase, fusedProvider, gone, type Points, replaced } from './fuse.ts'

/** What ends at a point: the process of the worker, that and the broker with it, or the broker behind a network. */
export const victims = ['worker', 'both', 'broker'] as const
export type Victim = (typeof victims)[number]

export interface RunOptions {
  readonly seed: number
  readonly victim: Victim
  /** The number of the point, from 0. */
  readonly at: number
  /** The last step cannot be done. */
  readonly back: boolean
  /** Spoils what the first life works with. */
  readonly bug?: Bug | undefined
}

/** A mistake that the runs must find. */
export interface Bug {
  readonly spoil?: (sagas: Saga<State>, mq: Context) => void
  readonly wrap?: (provider: Provider) => Provider
}

export interface State {
  readonly n: number
}

const names = ['a', 'b', 'c']
const ID = 's1'

/** Counts the points that a process passes, and lets it, or its broker, end at one of them. */
class Stop implements Points {
  readonly ended = Promise.withResolvers<void>()
  private readonly aborter = new AbortController()
  private readonly at: number
  private readonly strike: () => Promise<void>
  private readonly kills: boolean
  private passed = 0
  open = 0
  dead = false
  armed = false

  constructor(at: number, kills: boolean, strike: () => Promise<void>) {
    this.at = at
    this.kills = kills
    this.strike = strike
  }

  get signal(): AbortSignal {
    return this.aborter.signal
  }

  get reached(): boolean {
    return this.passed > this.at
  }

  async point(): Promise<void> {
    if (this.dead) throw gone()
    if (!this.armed || this.passed++ !== this.at) return
    if (!this.kills) return this.strike()
    this.dead = true
    this.aborter.abort(gone())
    this.strike().then(this.ended.resolve, this.ended.reject)
    throw gone()
  }
}

/**
 * A saga of three steps whose effects are rows, and an end of something at one point of it. Answers whether the point was
 * reached. Throws an AssertionError when message and status do not fit at any time, or the saga does not end as it should.
 */
export async function runSaga(options: RunOptions): Promise<boolean> {
  const broker = await CrashableBroker.start(options.seed)
  await using opened = await sqlite.open()
  try {
    const url = options.victim === 'broker' ? await broker.serve() : ''
    return await crashOnce(new Run(options, broker, opened.database, url), options)
  } finally {
    await broker.stop()
  }
}

async function crashOnce(run: Run, { victim, at, back, bug }: RunOptions): Promise<boolean> {
  await run.keep()
  const stop = new Stop(at, victim !== 'broker', async () => {
    if (victim !== 'worker') await run.crash()
  })
  await run.live(stop, bug)
  if (stop.dead) {
    await assertConsistent(run.keeper)
    await run.live(new Stop(-1, true, async () => {}))
  }
  // What is not on disk does not count.
  await run.crash()
  await assertOver(run.keeper, back)
  assert.deepEqual(await run.effects(), back ? ['a', 'b', '-b', '-a'] : names)
  return stop.reached
}

class Run {
  private readonly options: RunOptions
  private readonly broker: CrashableBroker
  private readonly database: Database
  private readonly url: string
  /** Looks on; and without anybody connected the broker would close. */
  keeper!: Context

  constructor(options: RunOptions, broker: CrashableBroker, database: Database, url: string) {
    this.options = options
    this.broker = broker
    this.database = database
    this.url = url
  }

  async keep(): Promise<void> {
    this.keeper = await this.broker.connect()
  }

  async crash(): Promise<void> {
    await this.broker.crash()
    await this.keep()
  }

  async effects(): Promise<unknown[]> {
    const { rows } = await this.database.execute('SELECT note FROM orders ORDER BY id')
    return rows.map(({ note }) => note)
  }

  /** A process that starts the saga, and works until it is over, or the process is. */
  async live(stop: Stop, bug: Bug = {}): Promise<void> {
    const { url, broker } = this
    const { wrap = (own) => own } = bug
    const provider = fusedProvider(wrap(url === '' ? broker.provider() : amqp), stop)
    const mq = await connect(url || 'crashable:', { provider, reconnect: { initial: 1, max: 5 } })
    mq.on('error', () => {})
    const sagas = await this.describe(stop)
    bug.spoil?.(sagas, mq)
    await sagas.work(mq).ready
    stop.armed = true
    const working = this.startAndWait(sagas, mq, stop)
    await Promise.race([stop.ended.promise, working])
    if (stop.dead) await stop.ended.promise
    // With its broker gone nothing would answer it.
    if (!stop.dead || this.options.victim === 'worker') await mq.close({ drain: 0 })
  }

  private async startAndWait(sagas: Saga<State>, mq: Context, stop: Stop): Promise<void> {
    let isStarted = false
    while (!stop.dead) {
      try {
        if (!isStarted) await sagas.start(mq, ID, { n: 0 })
        isStarted = true
        const status = (await sagas.status(mq, ID))?.status
        if (status === 'done' || status === 'undone') return
      } catch {
        // The connection was lost: a start may be repeated.
      }
      await setImmediate()
    }
  }

  private async describe(points: Points): Promise<Saga<State>> {
    const inbox = await openInbox({ database: fusedDatabase(this.database, points), consumer: 'walk' })
    const insert = this.database.dialect.statement('INSERT INTO orders (note) VALUES (?)')
    const note = (text: string) =>
      handled(
        idempotent<SagaMessage<State>, unknown>((_, { executor }) => executor.execute(insert, [text]), {
          inbox,
        }),
      )
    const last = names.at(-1)
    const steps = names.map((name): SagaStep<State> => {
      const { back } = this.options
      return {
        name,
        run: async (state, context) => {
          if (back && name === last) throw new PermanentError('refused')
          await note(name)(state, context)
          return { n: state.n + 1 }
        },
        undo: async (state, context) => {
          if (context.outcome === 'done') await note(`-${name}`)(state, context)
          return context.outcome === 'done' ? { n: state.n - 1 } : state
        },
        retry: { after: () => 0, attempts: 100 },
      }
    })
    return saga<State>('walk', steps)
  }
}

/** To look at them. */
const known = saga<State>(
  'walk',
  names.map((name) => ({ name, run: () => undefined })),
)

async function bodiesOf(mq: Context, { name }: { readonly name: string }): Promise<unknown[]> {
  if (!(await mq.management.queues()).some((queue) => queue.name === name)) return []
  const bodies: unknown[] = []
  for await (const { body } of mq.browse<unknown>({ kind: 'queue', name })) bodies.push(body)
  return bodies
}

/** At any time there is a message for each saga that is not over, and it says what the status says. */
async function assertConsistent(mq: Context): Promise<void> {
  const messages = await bodiesOf(mq, known.queue)
  const statuses = (await bodiesOf(mq, known.statuses)) as SagaMessage[]
  const underWay = statuses.filter(({ status }) => status !== 'done' && status !== 'undone')
  assert.deepEqual(messages, underWay, 'message and status')
  assert.deepEqual(await bodiesOf(mq, known.parked), [])
}

async function assertOver(mq: Context, back: boolean): Promise<void> {
  await assertConsistent(mq)
  const { status, state } = (await known.status(mq, ID))!
  assert.deepEqual(
    { status, state },
    back ? { status: 'undone', state: { n: 0 } } : { status: 'done', state: { n: 3 } },
  )
}

/** The message of a step is settled, and then the next one is sent. */
export const settlesBefore: Bug = {
  wrap: (provider) =>
    replaced(provider, {
      connect: async (url, options) => {
        const connection = await provider.connect(url, options)
        return replaced(connection, {
          createReceiver: async (...values) => {
            const receiver = await connection.createReceiver(...values)
            return replaced(receiver, { settle: (ranges, how) => receiver.settle(ranges, how) })
          },
        })
      },
    }),
}

/** What was done first is undone first. */
export const undoesInOrder: Bug = {
  spoil: ({ course }) => {
    const turned = course.turned.bind(course)
    course.turned = (message, ...why) => turned({ ...message, done: message.done.toReversed() }, ...why)
  },
}

/** The status is replaced when the step has returned, and not with the hand-over. */
export const statusBefore: Bug = {
  spoil: (sagas, mq) => {
    const send = sagas.send.bind(sagas)
    sagas.send = async (to, next) => {
      await mq.send(sagas.statuses, written(next), headersOf(next))
      return send(to, next)
    }
  },
}
