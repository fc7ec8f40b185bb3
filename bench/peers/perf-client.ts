import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const QUEUE = 'queue://perf'
/** On each side; some brokers have one message of a connection in their hands at a time. */
const CONNECTIONS = 8
/** Of one connection. */
const PENDING = 250
const SIZE = 100
/** Seconds. */
const [WARM_UP, DURATION] = [2, 3]

interface Sample {
  readonly sampleType: 'interval' | 'summary'
  readonly warmup?: boolean
  readonly time: number
  readonly received?: number
  readonly result?: string
  readonly totalReceived?: number
}

export interface PerfClientRun {
  /** Messages a second after the warm-up, in and out; it samples once a second, and may have come to none. */
  readonly rate: number | undefined
  /** All of them, those of the warm-up too. */
  readonly messages: number
}

/**
 * `artemis perf client`: a load generator that is not ours, in Java, for every broker that speaks AMQP 1.0. It starts cold each
 * time, and so it warms up each time; the processor time of the broker is that of all its messages.
 */
export async function perfClient(home: string, url: string, directory: string): Promise<PerfClientRun> {
  const place = mkdtempSync(join(directory, 'perf-'))
  const file = join(place, 'report.json')
  const { username, password, host } = new URL(url)
  const login = username === '' ? [] : ['--user', username, '--password', password]
  const load = ['--persistent', '--message-size', `${SIZE}`, '--max-pending', `${PENDING}`]
  const clients = ['--producers', `${CONNECTIONS}`, '--consumers', `${CONNECTIONS}`]
  const time = ['--warmup', `${WARM_UP}`, '--duration', `${DURATION}`]
  const target = ['--protocol', 'AMQP', '--url', `amqp://${host}`, ...login]
  try {
    await run(
      join(home, 'bin', 'artemis'),
      ['perf', 'client', ...target, ...load, ...clients, ...time, '--json', file, QUEUE],
      {
        cwd: place,
        timeout: 120_000,
      },
    )
    return figuresOf(JSON.parse(readFileSync(file, 'utf8')) as Sample[])
  } finally {
    rmSync(place, { recursive: true, force: true })
  }
}

export function figuresOf(samples: readonly Sample[]): PerfClientRun {
  const summary = samples.find(({ sampleType }) => sampleType === 'summary')
  if (summary?.result !== 'success' || !summary.totalReceived)
    throw new Error(`artemis perf client reports ${summary?.result ?? 'nothing'}`)
  const counted = samples.filter(({ sampleType, warmup }) => sampleType === 'interval' && !warmup)
  const begun = samples.findLast(({ warmup }) => warmup)?.time
  const messages = summary.totalReceived
  if (begun === undefined || counted.length === 0) return { rate: undefined, messages }
  const received = counted.reduce((sum, sample) => sum + (sample.received ?? 0), 0)
  return { rate: (received / (counted.at(-1)!.time - begun)) * 1000, messages }
}
