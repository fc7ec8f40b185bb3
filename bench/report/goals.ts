import type { Curve, Series } from '../curves.ts'
import { summarize } from '../statistics.ts'
import {
  type BacklogFile,
  type Broker,
  type CurvesFile,
  type FiguresFile,
  type FileRow,
  shown,
} from './figures-file.ts'

/** What `npm run bench`, bench:peers, bench:backlog and bench:growth have written. */
export interface Measured {
  readonly bench: FiguresFile
  readonly peers: FiguresFile
  readonly backlog: BacklogFile
  readonly growth: CurvesFile
}

interface Line {
  readonly what: string
  readonly must: string
  readonly goal: string
  readonly ours: string
  readonly beside: string
  /** Whether the must is reached; undefined: it is none that a figure decides. */
  readonly reached: boolean | undefined
}

const MICROSECONDS = 1e6
/** A client that is busy for so much of the time is what limits the rate. */
const LIMIT = 0.8

/** What the design asks for, and what was measured of it. Throws when a file lacks a row. */
export function goalsTable(measured: Measured): string {
  const lines = [
    ...embedded(measured),
    ...network(measured),
    ...latencies(measured),
    ...backlogs(measured),
    ...growth(measured),
  ]
  return [
    '| what | must | goal | ours | beside | must reached |',
    '|---|---|---|---|---|---|',
    ...lines.map(
      ({ what, must, goal, ours, beside, reached }) =>
        `| ${[what, must, goal, ours, beside, reached === undefined ? '–' : reached ? 'yes' : '**no**'].join(' | ')} |`,
    ),
  ].join('\n')
}

function embedded({ bench }: Measured): Line[] {
  const batches = row(bench, 'embedded: disk, 100 B, in batches')
  const one = row(bench, 'embedded: disk, 100 B, one by one')
  const stores = ['SQLite, synchronous FULL', 'LevelDB, sync'].map((name) => ({
    name,
    row: row(bench, `a queue in ${name}, 100 B, in batches`),
  }))
  return [
    {
      what: 'embedded, one by one',
      must: '400 k/s',
      goal: '',
      ours: rate(one),
      beside: '',
      reached: one.median >= 400_000,
    },
    {
      what: 'embedded, in batches',
      must: '',
      goal: '800 k/s; 5 × a queue in SQLite or LevelDB',
      ours: rate(batches),
      beside: stores
        .map(({ name, row: other }) => `${name} ${rate(other)}: ${ratio(batches, other)}`)
        .join('; '),
      reached: undefined,
    },
  ]
}

function network({ bench, peers }: Measured): Line[] {
  const ours = row(bench, 'AMQP: disk, 100 B, our client')
  const cpu = row(bench, 'AMQP: disk, 100 B, our client', 'broker CPU')
  const rhea = row(bench, 'AMQP: disk, 100 B, rhea')
  const rheaCpu = row(bench, 'AMQP: disk, 100 B, rhea', 'broker CPU')
  const clientCpu = row(bench, 'AMQP: disk, 100 B, rhea', 'client CPU')
  const busy = (rhea.median * clientCpu.median) / MICROSECONDS
  const [us] = peers.brokers!
  const at = (name: string, part = ''): FileRow => row(peers, name, part)
  return [
    {
      what: 'AMQP 1.0 over TCP, our client',
      must: '200 k/s',
      goal: '400 k/s; 10 × RabbitMQ and ActiveMQ; 1 × Kafka',
      ours: `${rate(ours)}; beside the others ${rate(at(us!.name))}`,
      beside: others(peers, ['RabbitMQ', 'ActiveMQ', 'Kafka'])
        .map((peer) => `${named(peer)} ${rate(at(peer.name))}: ${ratio(at(us!.name), at(peer.name))}`)
        .join('; '),
      reached: ours.median >= 200_000,
    },
    {
      what: 'the same, broker CPU',
      must: '',
      goal: '1.5 µs/msg',
      ours: micros(cpu),
      beside: '',
      reached: undefined,
    },
    {
      what: "somebody else's client (rhea)",
      must: 'that client is the limit',
      goal: '⅓ of RabbitMQ’s and Artemis’s broker CPU',
      ours: `${rate(rhea)}, the client busy for ${Math.round(busy * 100)} % of the time, broker CPU ${micros(rheaCpu)}; beside the others ${micros(at(us!.name, 'broker CPU'))}`,
      beside: others(peers, ['RabbitMQ', 'Artemis'])
        .map((peer) => {
          const theirs = at(peer.name, 'broker CPU')
          return `${named(peer)} ${micros(theirs)}: ${ratio(at(us!.name, 'broker CPU'), theirs)}`
        })
        .join('; '),
      reached: busy >= LIMIT,
    },
  ]
}

function latencies({ bench, peers }: Measured): Line[] {
  const ours = row(bench, 'embedded: disk, 100 B, end to end at 10 k/s', 'p99')
  const network = row(bench, 'AMQP: disk, 100 B, end to end at 10 k/s', 'p99')
  const sync = row(bench, 'ground: append + fdatasync, one at a time', 'p99')
  const bound = 2 * sync.median + 1
  const part = 'end to end at 10 k/s, p99'
  const [us] = peers.brokers!
  const our = find(peers, us!.name, part)
  return [
    {
      what: 'p99 end to end at 10 k/s',
      must: `2 × p99 of fdatasync + 1 ms: ${shown(bound)} ms`,
      goal: '½ of RabbitMQ’s and Artemis’s',
      ours: `embedded ${millis(ours)}; AMQP ${millis(network)}${our ? `, beside the others ${millis(our)}` : ''}`,
      beside: others(peers, ['RabbitMQ', 'Artemis'])
        .map((peer) => {
          const theirs = find(peers, peer.name, part)
          if (theirs === undefined) return `${named(peer)} does not hold the rate`
          return `${named(peer)} ${millis(theirs)}${our ? `: ${ratio(our, theirs)}` : ''}`
        })
        .join('; '),
      reached: ours.median <= bound,
    },
  ]
}

function backlogs({ backlog }: Measured): Line[] {
  const at = (name: string): number => {
    const figure = backlog.figures.find((one) => one.name === name)
    if (figure === undefined) throw new Error(`the figures of the backlog lack '${name}'`)
    return figure.value
  }
  const starts = ['a close', 'a kill'].map((how) => at(`one queue: start after ${how}`))
  const resident = Math.max(
    ...backlog.figures
      .filter(({ name }) => name.startsWith('one queue') && name.endsWith('resident at most'))
      .map(({ value }) => value),
  )
  const many = at('many queues: drain all at once to one queue')
  return [
    {
      what: 'backlog in one queue',
      must: 'start in 10 s, 512 MiB resident',
      goal: 'publish and drain within 20 % of an empty queue',
      ours: `start ${starts.map(shown).join(' s after a close, ')} s after a kill; at most ${shown(resident)} MiB; publish ${times(at('one queue: publish deep to empty'))}, drain ${times(at('one queue: drain deep to shallow'))} of an empty queue’s rate`,
      beside: '',
      reached: Math.max(...starts) <= 10 && resident <= 512,
    },
    {
      what: 'many queues with a backlog, drained',
      must: '½ of one queue’s rate',
      goal: '0.8',
      ours: `${times(many)} all at once; ${times(at('many queues: drain one after the other to one queue'))} one after the other`,
      beside: '',
      reached: many >= 0.5,
    },
  ]
}

function growth({ growth: file }: Measured): Line[] {
  const queues = series(file, 'many queues', 'processor time')
  const [amqp, tcp] = [
    series(file, 'connections', 'AMQP', 'µs/msg'),
    series(file, 'connections', 'TCP', 'µs/msg'),
  ]
  const subscribers = ['engine, durable', 'embedded, durable', 'embedded, volatile'].map((name) => ({
    name,
    most: last(series(file, 'subscribers', name)),
  }))
  const [queueGrowth, amqpGrowth, tcpGrowth] = [queues, amqp, tcp].map(
    ({ points }) => points.at(-1)![1] / points[0]![1],
  ) as [number, number, number]
  return [
    {
      what: `${last(queues)[0].toLocaleString('en')} queues`,
      must: 'a message costs within 20 % of 100 queues',
      goal: 'flat',
      ours: `${times(queueGrowth)}: ${queues.points.map(([, y]) => shown(y)).join(', ')} µs`,
      beside: '',
      reached: queueGrowth <= 1.2,
    },
    {
      what: `${last(amqp)[0].toLocaleString('en')} connections`,
      must: 'within 20 % of raw TCP’s own curve',
      goal: 'flat',
      ours: `${times(amqpGrowth)}: ${amqp.points.map(([, y]) => shown(y)).join(', ')} µs`,
      beside: `raw TCP ${times(tcpGrowth)}: ${tcp.points.map(([, y]) => shown(y)).join(', ')} µs`,
      reached: amqpGrowth <= tcpGrowth * 1.2,
    },
    {
      what: `${subscribers[0]!.most[0].toLocaleString('en')} subscribers`,
      must: '500 k deliveries/s',
      goal: '1 M deliveries/s',
      ours: subscribers.map(({ name, most }) => `${name} ${shown(most[1])}/s`).join('; '),
      beside: '',
      reached: subscribers.every(({ most }) => most[1] >= 500_000),
    },
  ]
}

function find({ rows }: FiguresFile, name: string, part: string): FileRow | undefined {
  return rows.find((one) => one.name === name && one.part === part)
}

function row(file: FiguresFile, name: string, part = ''): FileRow {
  const found = find(file, name, part)
  if (found === undefined) throw new Error(`the figures lack '${name}'${part === '' ? '' : `, ${part}`}`)
  return found
}

function series({ curves }: CurvesFile, title: string, name: string, unit?: string): Series {
  const found = curves
    .filter((curve: Curve) => curve.title.includes(title))
    .flatMap((curve) => curve.series)
    .find((one) => one.name === name && (unit === undefined || one.unit === unit))
  if (found === undefined) throw new Error(`the curves lack '${name}' of '${title}'`)
  return found
}

function last({ points }: Series): readonly [x: number, y: number] {
  return points.at(-1)!
}

/** Those of the other brokers that were measured, in this order. */
function others({ brokers = [] }: FiguresFile, names: readonly string[]): Broker[] {
  return names.flatMap((name) => brokers.slice(1).filter((broker) => broker.name.includes(name)))
}

function named({ name, version, durability }: Broker): string {
  return `${name} ${version} (${durability})`
}

/** Median of the quotients, round by round, with the interval. */
function ratio(ours: FileRow, theirs: FileRow): string {
  const pairs = Math.min(ours.values.length, theirs.values.length)
  const { median, min, max } = summarize(
    Array.from({ length: pairs }, (_, i) => ours.values[i]! / theirs.values[i]!),
  )
  return `${shown(median)} × [${shown(min)}, ${shown(max)}]`
}

function times(value: number): string {
  return `${shown(value)} ×`
}

function rate(of: FileRow): string {
  return `${withInterval(of)}/s`
}

function micros(of: FileRow): string {
  return `${withInterval(of)} µs`
}

function millis(of: FileRow): string {
  return `${withInterval(of)} ms`
}

function withInterval({ median, min, max }: FileRow): string {
  return `${shown(median)} [${shown(min)}, ${shown(max)}]`
}
