import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Engine, QueueStatus } from '../engine/api.ts'
import type { UpkeepStatus } from '../engine/ports/store.ts'

/** Counts of the listeners, rising unless said otherwise. */
export interface TrafficCounts {
  /** At present. */
  readonly open: number
  readonly accepted: number
  readonly refused: Readonly<Record<string, number>>
  readonly failedLogins: number
  readonly bytesIn: number
  readonly bytesOut: number
}

type Labels = Readonly<Record<string, string>>
type Sample = readonly [value: number, labels?: Labels]

/** Queues with series of their own; more would make pages that nobody can store. The largest are taken. */
const MOST_QUEUES = 1_000
const NANOSECONDS = 1e9
const RESOLUTION = 20

/** The page at /metrics, in the text format of Prometheus 0.0.4. */
export class Metrics {
  private readonly delay = monitorEventLoopDelay({ resolution: RESOLUTION })

  constructor() {
    this.delay.enable()
  }

  close(): void {
    this.delay.disable()
  }

  page(engine: Engine, traffic: TrafficCounts): string {
    const page = new Page()
    const queues = engine.queues()
    writeTotals(page, queues)
    writeQueues(page, shown(queues))
    writeTraffic(page, traffic)
    writeStore(page, engine)
    this.writeProcess(page)
    return page.text()
  }

  private writeProcess(page: Page): void {
    const { delay } = this
    const seconds = (nanoseconds: number): number => Math.max(0, nanoseconds / NANOSECONDS - RESOLUTION / 1e3)
    const quantiles = [50, 90, 99].map(
      (percent): Sample => [seconds(delay.percentile(percent)), { quantile: String(percent / 100) }],
    )
    const largest: Sample = [delay.count > 0 ? seconds(delay.max) : 0, { quantile: '1' }]
    page.write('event_loop_delay_seconds', 'gauge', 'How late the event loop was, since the last look', [
      ...quantiles,
      largest,
    ])
    delay.reset()
    const memory = process.memoryUsage()
    page.write('process_resident_bytes', 'gauge', 'Memory of the process', [[memory.rss]])
    const { user, system } = process.cpuUsage()
    page.write('process_cpu_seconds_total', 'counter', 'Time on processors', [[(user + system) / 1e6]])
    page.write('process_uptime_seconds', 'gauge', 'Age of the process', [[process.uptime()]])
  }
}

/** Those that come and go with their users are only in the sums. */
function shown(queues: readonly QueueStatus[]): readonly QueueStatus[] {
  const lasting = queues.filter(({ definition }) => definition.lifetime.kind === 'forever')
  if (lasting.length <= MOST_QUEUES) return lasting
  return lasting.sort((a, b) => b.messages - a.messages).slice(0, MOST_QUEUES)
}

function writeTotals(page: Page, queues: readonly QueueStatus[]): void {
  const sum = (of: (queue: QueueStatus) => number): Sample[] => [
    [queues.reduce((all, each) => all + of(each), 0)],
  ]
  page.write('queues', 'gauge', 'Queues', [[queues.length]])
  page.write(
    'messages',
    'gauge',
    'Messages in all queues',
    sum(({ messages }) => messages),
  )
  page.write(
    'consumers',
    'gauge',
    'Consumers of all queues',
    sum(({ consumers }) => consumers),
  )
}

function writeQueues(page: Page, queues: readonly QueueStatus[]): void {
  const each = (of: (queue: QueueStatus) => number): Sample[] =>
    queues.map((queue) => [of(queue), { queue: queue.definition.name }])
  const states = queues.flatMap((queue) =>
    (['ready', 'waiting', 'acquired'] as const).map(
      (state): Sample => [queue[state], { queue: queue.definition.name, state }],
    ),
  )
  const departures = queues.flatMap((queue) =>
    Object.entries(queue.departed).map(
      ([reason, count]): Sample => [count, { queue: queue.definition.name, reason }],
    ),
  )
  page.write('queue_messages', 'gauge', 'Messages in the queue by state', states)
  page.write(
    'queue_bytes',
    'gauge',
    'Bytes of the messages in the queue',
    each(({ bytes }) => bytes),
  )
  page.write(
    'queue_consumers',
    'gauge',
    'Consumers of the queue',
    each(({ consumers }) => consumers),
  )
  page.write(
    'queue_held',
    'gauge',
    'Sends that wait because the queue is full',
    each(({ held }) => held),
  )
  page.write(
    'queue_published_total',
    'counter',
    'Messages that came in',
    each(({ published }) => published),
  )
  page.write(
    'queue_delivered_total',
    'counter',
    'Deliveries to consumers',
    each(({ delivered }) => delivered),
  )
  page.write('queue_departed_total', 'counter', 'Messages that left, by how', departures)
}

function writeTraffic(page: Page, traffic: TrafficCounts): void {
  const refused = Object.entries(traffic.refused).map(([reason, count]): Sample => [count, { reason }])
  page.write('connections', 'gauge', 'Open connections', [[traffic.open]])
  page.write('connections_accepted_total', 'counter', 'Connections that were let in', [[traffic.accepted]])
  page.write('connections_refused_total', 'counter', 'Connections that were turned away, by why', refused)
  page.write('logins_failed_total', 'counter', 'Logins that failed', [[traffic.failedLogins]])
  page.write('received_bytes_total', 'counter', 'Bytes from clients', [[traffic.bytesIn]])
  page.write('sent_bytes_total', 'counter', 'Bytes to clients', [[traffic.bytesOut]])
}

function writeStore(page: Page, engine: Engine): void {
  const { diskBytes, liveBytes, unsyncedBytes, segments, quarantined, spaceAvailable, upkeep } =
    engine.store()
  page.write('disk_bytes', 'gauge', 'Bytes of the journal on disk', [[diskBytes]])
  page.write('disk_live_bytes', 'gauge', 'Bytes of those that messages need', [[liveBytes]])
  page.write('disk_unsynced_bytes', 'gauge', 'Bytes on their way to the disk', [[unsyncedBytes]])
  page.write('disk_segments', 'gauge', 'Files of the journal', [[segments]])
  page.write('disk_quarantined', 'gauge', 'Damaged places in quarantine', [[quarantined]])
  page.write('disk_writable', 'gauge', '0 while the disk is full', [[spaceAvailable ? 1 : 0]])
  if (upkeep) writeUpkeep(page, upkeep)
}

function writeUpkeep(page: Page, upkeep: UpkeepStatus): void {
  const counters = [
    ['checkpoints_total', 'Checkpoints written', upkeep.checkpoints],
    ['checkpoint_bytes_total', 'Bytes of those', upkeep.checkpointBytes],
    ['compactions_total', 'Times that files were rewritten or found empty', upkeep.compactions],
    ['compaction_read_bytes_total', 'Bytes that this read', upkeep.compactionBytesRead],
    ['compaction_written_bytes_total', 'Bytes that this wrote', upkeep.compactionBytesWritten],
  ] as const
  for (const [name, help, value] of counters) page.write(name, 'counter', help, [[value]])
  const pending = upkeep.compactionBytesPending
  page.write('compaction_pending_bytes', 'gauge', 'Bytes of files that wait to be rewritten', [[pending]])
}

class Page {
  private readonly lines: string[] = []

  write(name: string, type: 'counter' | 'gauge', help: string, samples: readonly Sample[]): void {
    const full = `millrace_${name}`
    this.lines.push(`# HELP ${full} ${help}.`, `# TYPE ${full} ${type}`)
    for (const [value, labels] of samples)
      this.lines.push(`${full}${labels ? labelled(labels) : ''} ${value}`)
  }

  text(): string {
    return `${this.lines.join('\n')}\n`
  }
}

function labelled(labels: Labels): string {
  return `{${Object.entries(labels)
    .map(([name, value]) => `${name}="${escaped(value)}"`)
    .join(',')}}`
}

function escaped(value: string): string {
  return value.replace(/[\\"\n]/g, (character) => (character === '\n' ? '\\n' : `\\${character}`))
}
