import { setTimeout as sleep } from 'node:timers/promises'
import { type Context, milliseconds, type QueueReport, queue } from '../index.ts'
import { existingQueue, withExistingBroker } from './broker.ts'
import { type Call, type Command, takeOperands } from './command.ts'
import { ExitCode } from './exit-code.ts'
import { table } from './output.ts'

/** Depths drawn for each queue, one an interval. */
const HISTORY = 30
/** Milliseconds. */
export const VIEW_INTERVAL = 1_000
const levels = ' ▁▂▃▄▅▆▇█'

export const watch: Command = {
  name: 'watch',
  synopsis: '[QUEUE…] [--every TIME] [--count N]',
  summary: 'show live what goes into queues and out of them, until stopped',
  details: [
    'Per second: messages that arrived and that left. OLDEST is how long ago the message at the head was',
    'sent. Without QUEUE all queues are shown. On a terminal the view is drawn anew, elsewhere it is',
    'printed again; with --json each view is one line: {"at", "queues": […]}. --count ends after N views.',
  ],
  options: ['every', 'count'],
  run,
}

/** What the view says of a queue. */
interface Row {
  readonly name: string
  /** Messages a second. */
  readonly arrivals: number
  readonly departures: number
  readonly messages: number
  readonly ready: number
  readonly waiting: number
  readonly acquired: number
  readonly consumers: number
  readonly held: number
  /** Milliseconds; undefined when the queue is empty or its head does not say when it was sent. */
  readonly oldest: number | undefined
}

async function run(call: Call): Promise<number> {
  const { options } = call
  const names = takeOperands(call, 0, Number.MAX_SAFE_INTEGER)
  const every = milliseconds(options.duration('every') ?? VIEW_INTERVAL)
  const views = options.wholeNumber('count', 1, Number.MAX_SAFE_INTEGER)
  await withExistingBroker(call, async (mq) => {
    for (const name of names) await existingQueue(mq, name)
    await new View(call, mq, names).run(every, views)
  })
  return ExitCode.ok
}

/** A queue and how old its head is. */
interface Observation {
  readonly report: QueueReport
  readonly oldest: number | undefined
}

async function observe(mq: Context, names: readonly string[]): Promise<Observation[]> {
  const reports = await mq.management.queues()
  const wanted = names.length === 0 ? reports : reports.filter(({ name }) => names.includes(name))
  const sorted = [...wanted].sort((a, b) => (a.name < b.name ? -1 : 1))
  return Promise.all(sorted.map(async (report) => ({ report, oldest: await ageOfHead(mq, report) })))
}

async function ageOfHead(mq: Context, { name, messages }: QueueReport): Promise<number | undefined> {
  if (messages === 0) return undefined
  for await (const { timestamp } of mq.browse(queue(name))) {
    return timestamp === undefined ? undefined : Math.max(0, Date.now() - timestamp)
  }
  return undefined
}

/** What goes into queues and out of them, drawn again and again. */
export class View {
  private readonly call: Call
  private readonly mq: Context
  private readonly names: readonly string[]
  private readonly caption: string
  private readonly depths: Map<string, number[]> = new Map()
  private before: Map<string, QueueReport> = new Map()
  private shownAt = 0

  /** Of the queues of these names, or of all when there are none; on a terminal below the caption. */
  constructor(call: Call, mq: Context, names: readonly string[], caption = '') {
    this.call = call
    this.mq = mq
    this.names = names
    this.caption = caption
  }

  /** Until the call is stopped, or so many views have been shown. `every`: milliseconds. */
  async run(every: number, views: number = Number.POSITIVE_INFINITY): Promise<void> {
    const { signal } = this.call
    for (let shown = 0; shown < views && !signal.aborted; shown++) {
      await this.show(await observe(this.mq, this.names))
      if (shown + 1 < views) await sleep(every, undefined, { signal }).catch(() => undefined)
    }
  }

  private async show(observations: readonly Observation[]): Promise<void> {
    const now = performance.now()
    const seconds = this.shownAt === 0 ? Number.POSITIVE_INFINITY : (now - this.shownAt) / 1000
    const rows = observations.map((observation) => this.row(observation, seconds))
    this.before = new Map(observations.map(({ report }) => [report.name, report]))
    this.shownAt = now
    const { out } = this.call
    if (out.json) await out.document({ at: new Date().toISOString(), queues: rows })
    else
      await out.write(
        isTerminal(this.call) ? `\x1b[H\x1b[J${this.caption}${this.text(rows)}\n` : `${this.text(rows)}\n\n`,
      )
  }

  private row({ report, oldest }: Observation, seconds: number): Row {
    const { name, messages, ready, waiting, acquired, consumers, held } = report
    const before = this.before.get(name) ?? report
    const rate = (count: number): number => Math.round(Math.max(0, count) / seconds)
    const arrivals = rate(report.published - before.published)
    const departures = rate(left(report) - left(before))
    this.remember(name, messages)
    return { name, arrivals, departures, messages, ready, waiting, acquired, consumers, held, oldest }
  }

  private remember(name: string, depth: number): void {
    const depths = this.depths.get(name) ?? []
    depths.push(depth)
    if (depths.length > HISTORY) depths.shift()
    this.depths.set(name, depths)
  }

  private text(rows: readonly Row[]): string {
    if (rows.length === 0) return 'no queues yet'
    const cells = rows.map((row) => [
      row.name,
      row.arrivals,
      row.departures,
      row.messages,
      row.ready,
      row.waiting,
      row.acquired,
      row.held,
      row.consumers,
      row.oldest === undefined ? '-' : age(row.oldest),
      sparkline(this.depths.get(row.name)!),
    ])
    const head = ['QUEUE', 'IN/s', 'OUT/s', 'MESSAGES', 'READY', 'WAITING', 'ACQUIRED', 'HELD', 'CONSUMERS']
    return table([...head, 'OLDEST', 'DEPTH'], cells)
  }
}

function left({ departed }: QueueReport): number {
  return Object.values(departed).reduce((sum, count) => sum + count, 0)
}

export function isTerminal({ streams }: Call): boolean {
  return (streams.stdout as NodeJS.WriteStream).isTTY === true
}

/** How deep a queue was, the newest at the right, the deepest as high as a line. */
export function sparkline(depths: readonly number[]): string {
  const most = Math.max(1, ...depths)
  return depths.map((depth) => levels[Math.ceil((depth / most) * (levels.length - 1))]).join('')
}

export function age(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`
  const seconds = Math.floor(ms / 1000)
  if (seconds < 120) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h`
}
