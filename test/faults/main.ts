/**
 * `npm run test:faults`: processes end or stand still, the broker is killed, and connections to the database are cut, at every
 * step of outbox and inbox, from seeds: 1,000 schedules on SQLite, 100 each on PostgreSQL and MariaDB, of outboxes on rows and
 * on half messages; and crashes at every operation of a saga. SEED=… begins elsewhere, SCHEDULES=… says how many on SQLite.
 */
import { createPool } from 'mysql2/promise'
import { Pool } from 'pg'
import { type Database, fromMysql2, fromPg } from '../../src/patterns/index.ts'
import { startMariadb, startPostgres } from '../databases/servers.ts'
import { faults as allFaults, type Fault } from '../patterns/faults/fuse.ts'
import { runSaga, victims } from '../patterns/faults/saga-run.ts'
import { type Cutter, Schedule, type Setting, type Wrong } from '../patterns/faults/schedule.ts'
import { type Opened, prepare, sqlite } from '../patterns/subjects.ts'
import { CuttingProxy, cuts } from './cutting-proxy.ts'
import { ServedBroker } from './served-broker.ts'

const first = Number(process.env['SEED'] ?? Date.now() % 1_000_000_000)
const onSqlite = Number(process.env['SCHEDULES'] ?? 1_000)
const onServers = Math.ceil(onSqlite / 10)
/** A schedule that takes longer than this hangs. */
const PATIENCE = 60_000
/** Every so many schedules the outbox is on half messages. */
const HALF = 4

interface Place extends AsyncDisposable {
  readonly name: string
  readonly concurrent: boolean
  /** Every so many schedules the broker is one that is served, and can be killed. */
  readonly served: number
  readonly proxy?: CuttingProxy | undefined
  readonly cutter?: Cutter | undefined
  open(): Promise<Opened>
}

let wrongs = 0
const served = await ServedBroker.start()

async function run(place: Place, count: number): Promise<void> {
  const { name, concurrent, cutter, proxy } = place
  const totals = { lost: 0, twice: 0, phantoms: 0, disorder: 0, needless: 0, hung: 0 }
  const faults = new Map<Fault, number>(allFaults.map((fault) => [fault, 0]))
  for (let seed = first; seed < first + count; seed++) {
    await using opened = await place.open()
    const setting: Setting = {
      database: opened.database,
      seed,
      concurrent,
      cutter,
      strategy: seed % HALF === 0 ? 'half messages' : 'rows',
      broker: seed % place.served === 0 ? served : undefined,
    }
    const outcome = await orLate(new Schedule(setting).run())
    proxy?.forget()
    for (const [fault, amount] of outcome?.faults ?? []) faults.set(fault, faults.get(fault)! + amount)
    const wrong: Partial<Wrong> & { hung?: number } = outcome?.wrong ?? { hung: 1 }
    if (Object.values(wrong).some((amount) => amount > 0))
      console.log(`${name} SEED=${seed} ${JSON.stringify(wrong)}`)
    for (const [what, amount] of Object.entries(wrong)) totals[what as keyof typeof totals] += amount
  }
  const told = (counts: Iterable<readonly [string, number]>) =>
    [...counts].map(([what, amount]) => `${amount} × ${what}`).join(', ')
  console.log(
    `${name}: ${count} schedules: lost ${totals.lost}, twice ${totals.twice} ${JSON.stringify(totals)}`,
  )
  console.log(`  ${told(faults)}`)
  if (proxy) console.log(`  connections cut: ${told(cuts.map((cut) => [cut, proxy.counts.get(cut) ?? 0]))}`)
  wrongs += Object.values(totals).reduce((sum, amount) => sum + amount, 0)
}

/** Bugs that are found on a real server, too, each by the one kind of fault that it takes. */
const planted: readonly Pick<Setting, 'bug' | 'kinds' | 'faults'>[] = [
  { bug: 'acknowledge before commit', kinds: ['connection cut'], faults: 6 },
  { bug: 'no fencing', kinds: ['process paused'], faults: 6 },
  { bug: 'relay without lease', faults: 0 },
]

async function findPlanted({ name, concurrent, cutter, proxy, open }: Place): Promise<void> {
  for (const more of planted) {
    let found: number | undefined
    for (let seed = 0; seed < 60 && found === undefined; seed++) {
      await using opened = await open()
      const { database } = opened
      const outcome = await orLate(new Schedule({ database, seed, concurrent, cutter, ...more }).run())
      proxy?.forget()
      const { lost = 0, twice = 0, needless = 0 } = outcome?.wrong ?? {}
      if (lost + twice + needless > 0) found = seed
    }
    console.log(
      `${name}: the planted bug '${more.bug}' was ${found === undefined ? 'NOT found' : `found by seed ${found}`}`,
    )
    if (found === undefined) wrongs++
  }
}

function orLate<R>(work: Promise<R>): Promise<R | undefined> {
  const late = Promise.withResolvers<undefined>()
  const timer = setTimeout(late.resolve, PATIENCE, undefined)
  return Promise.race([work, late.promise]).finally(() => clearTimeout(timer))
}

/** More than a saga has. */
const MOST_POINTS = 500

async function runSagas(): Promise<void> {
  for (const victim of victims)
    for (const back of [false, true]) {
      let at = 0
      let wrong = 0
      for (; at < MOST_POINTS; at++) {
        const seed = first + at
        const outcome = await orLate(runSaga({ seed, victim, at, back })).catch(String)
        if (outcome === false) break
        if (outcome === true) continue
        wrong++
        console.log(`saga SEED=${seed} ${victim} at ${at}: ${outcome ?? 'hung'}`)
      }
      console.log(`saga, ${back ? 'there and back' : 'there'}: ${at} ends of ${victim}, wrong ${wrong}`)
      wrongs += wrong
    }
}

function cutterOf(database: Cutter['database'], proxy: CuttingProxy): Cutter {
  return { database, cut: (chance, done) => proxy.plan(cuts[Math.floor(chance * cuts.length)]!, done) }
}

/** A server that others use at the same time, by connections that the proxy cuts. */
function placeOn(
  name: string,
  database: Database,
  cutter: Cutter,
  { proxy, stop }: { proxy: CuttingProxy; stop: () => Promise<void> },
): Place {
  return {
    name,
    concurrent: true,
    served: 9,
    proxy,
    cutter,
    open: async () => {
      await prepare(database)
      return { database, [Symbol.asyncDispose]: async () => {} }
    },
    [Symbol.asyncDispose]: stop,
  }
}

async function onPostgres(): Promise<Place> {
  const server = await startPostgres()
  const { socket: host, port } = server
  const proxy = await CuttingProxy.start(`${host}/.s.PGSQL.${port}`)
  const open = (to: { host: string; port: number }) =>
    // A connection that is lost tells so by events, which without listeners end the process.
    new Pool({ ...to, user: 'millrace', database: 'postgres' })
      .on('error', () => {})
      .on('connect', (client) => client.on('error', () => {}))
  const [direct, through] = [open({ host, port }), open({ host: '127.0.0.1', port: proxy.port })]
  const stop = async (): Promise<void> => {
    await Promise.all([direct.end(), through.end()])
    await proxy.stop()
    await server.stop()
  }
  return placeOn('PostgreSQL', fromPg(direct), cutterOf(fromPg(through), proxy), { proxy, stop })
}

async function onMariadb(): Promise<Place> {
  const server = await startMariadb()
  const proxy = await CuttingProxy.start(server.socket)
  const root = createPool({ socketPath: server.socket, user: 'root' })
  await root.query('CREATE DATABASE millrace')
  await root.end()
  const who = { user: 'root', database: 'millrace' }
  const direct = createPool({ ...who, socketPath: server.socket })
  const through = createPool({ ...who, host: '127.0.0.1', port: proxy.port })
  const stop = async (): Promise<void> => {
    await Promise.all([direct.end(), through.end()])
    await proxy.stop()
    await server.stop()
  }
  return placeOn('MariaDB', fromMysql2(direct), cutterOf(fromMysql2(through), proxy), { proxy, stop })
}

console.log(`SEED=${first}`)
const begun = performance.now()
await run({ ...sqlite, served: 41, [Symbol.asyncDispose]: async () => {} }, onSqlite)
await runSagas()
for (const start of [onPostgres, onMariadb]) {
  await using place = await start()
  await run(place, onServers)
  // Planted by changing what PostgreSQL is told.
  if (start === onPostgres) await findPlanted(place)
}
const { kills } = served
await served.stop()
console.log(
  `the served broker was killed ${kills} times; ${Math.round((performance.now() - begun) / 1000)} s`,
)
process.exit(wrongs > 0 ? 1 : 0)
