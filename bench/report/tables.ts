import type { Curve } from '../curves.ts'
import {
  type BacklogFile,
  type Broker,
  type FiguresFile,
  type FileRow,
  roundsOf,
  shown,
} from './figures-file.ts'

/** A generator that works more than this of the time may be what was measured. Percent. */
const BUSY = 80

/** Every figure of a benchmark in a line of its own. */
export function rowsTable(file: FiguresFile): string {
  const lines = file.rows.map(
    ({ name, part, median, min, max, unit }) =>
      `| ${part === '' ? name : `${name}, ${part}`} | ${shown(median)} | ${shown(min)} | ${shown(max)} | ${unit} |`,
  )
  return [
    headOf(file),
    '',
    '| row | median | lowest | highest | unit |',
    '|---|---:|---:|---:|---|',
    ...lines,
  ].join('\n')
}

/** What was measured of backlogs, with what the design asks for. */
export function backlogTable({ machine, remarks, figures }: BacklogFile): string {
  return [
    [`${machine}.`, ...remarks.slice(1).map((remark) => `- ${remark}`)].join('\n'),
    [
      '| what | figure | unit | wanted |',
      '|---|---:|---|---|',
      ...figures.map(
        ({ name, value, unit, goal = '' }) => `| ${name} | ${shown(value)} | ${unit} | ${goal} |`,
      ),
    ].join('\n'),
  ].join('\n\n')
}

/** A column for each x, a line for each series. */
export function curveMarkdown({ title, of, series }: Curve): string {
  const xs = [...new Set(series.flatMap(({ points }) => points.map(([x]) => x)))].sort((a, b) => a - b)
  return [
    `**${title}**`,
    '',
    `| ${of} | ${xs.map((x) => x.toLocaleString('en')).join(' | ')} |`,
    `|---|${xs.map(() => '---:|').join('')}`,
    ...series.map(({ name, unit, points }) => {
      const values = new Map(points)
      const cells = xs.map((x) => (values.has(x) ? shown(values.get(x)!) : '–'))
      return `| ${unit === '' ? name : `${name}, ${unit}`} | ${cells.join(' | ')} |`
    }),
  ].join('\n')
}

interface Column {
  readonly title: string
  readonly part: string
}

const throughput: readonly Column[] = [
  { title: 'msg/s', part: '' },
  { title: 'generator CPU, %', part: 'generator CPU' },
  { title: 'broker CPU, µs/msg', part: 'broker CPU' },
  { title: 'resident, MiB', part: 'broker resident' },
]
const latency: readonly Column[] = ['1 k/s', '10 k/s'].flatMap((rate) =>
  ['p50', 'p99'].map((share) => ({
    title: `${share} at ${rate}, ms`,
    part: `end to end at ${rate}, ${share}`,
  })),
)
const perfClient: readonly Column[] = [
  { title: 'msg/s', part: 'artemis perf client' },
  { title: 'broker CPU, µs/msg', part: 'artemis perf client, broker CPU' },
]
/** In which ours is told as a multiple of theirs. */
const compared: readonly Column[] = [
  { title: 'msg/s', part: '' },
  { title: 'broker CPU', part: 'broker CPU' },
  { title: 'p99 at 1 k/s', part: 'end to end at 1 k/s, p99' },
  { title: 'p99 at 10 k/s', part: 'end to end at 10 k/s, p99' },
  { title: 'resident', part: 'broker resident' },
  { title: 'artemis perf client, broker CPU', part: 'artemis perf client, broker CPU' },
]

/** Brokers beside each other, the first of which is ours. */
export function brokersTables(file: FiguresFile): string {
  const { brokers = [], left = [] } = file
  const [ours, ...theirs] = brokers
  const figures = new Map(file.rows.map((row) => [`${row.name} ${row.part}`, row]))
  const at = ({ name }: Broker, { part }: Column): FileRow | undefined => figures.get(`${name} ${part}`)
  const table = (of: readonly Broker[], columns: readonly Column[], cell: Cell): string =>
    [
      `| broker | ${columns.map(({ title }) => title).join(' | ')} |`,
      `|---|${columns.map(() => '---:|').join('')}`,
      ...of.map(
        (broker) => `| ${broker.name} | ${columns.map((column) => cell(broker, column)).join(' | ')} |`,
      ),
    ].join('\n')
  const interval: Cell = (broker, column) => {
    const row = at(broker, column)
    const busy = column.part === '' && (at(broker, { title: '', part: 'generator CPU' })?.median ?? 0) > BUSY
    const lost = roundsLost(file, broker, column)
    if (row === undefined) return lost > 0 ? 'not held' : '–'
    return `${withInterval(row)}${busy ? ' ¹' : ''}${lost > 0 ? `, not held in ${lost} rounds` : ''}`
  }
  const ratio: Cell = (broker, column) => {
    const [our, their] = [ours && at(ours, column), at(broker, column)]
    return our && their ? `${shown(our.median / their.median)} ×` : '–'
  }
  const perf = brokers.filter((broker) => at(broker, perfClient[0]!) !== undefined)
  return [
    headOf(file),
    [
      '| broker | version | what is confirmed | load generator |',
      '|---|---|---|---|',
      ...brokers.map((one) => `| ${one.name} | ${one.version} | ${one.durability} | ${one.client} |`),
    ].join('\n'),
    table(brokers, throughput, interval),
    `¹ The generator was busy for more than ${BUSY} % of the time: what it can do was measured, too.`,
    table(brokers, latency, interval),
    ...(perf.length === 0 ? [] : ['With `artemis perf client`:', table(perf, perfClient, interval)]),
    ...(ours === undefined ? [] : [`${ours.name} as a multiple of each:`, table(theirs, compared, ratio)]),
    ...(left.length === 0 ? [] : [left.map(({ name, why }) => `- ${name}: ${oneLine(why)}`).join('\n')]),
  ].join('\n\n')
}

type Cell = (broker: Broker, column: Column) => string

function headOf(file: FiguresFile): string {
  const rounds = roundsOf(file)
  return `${file.machine}, ${rounds === 1 ? 'one round' : `${rounds} rounds`}.`
}

function withInterval({ median, min, max, rounds }: FileRow): string {
  return rounds === 1 ? shown(median) : `${shown(median)} (${shown(min)}–${shown(max)})`
}

/** In how many rounds a broker did not hold the rate of a column. */
function roundsLost({ lost = {} }: FiguresFile, { name }: Broker, { part }: Column): number {
  return Object.entries(lost).find(([load]) => `${name}, ${part}`.startsWith(`${load},`))?.[1] ?? 0
}

function oneLine(text: string): string {
  return text.split('\n')[0]!.trim()
}
