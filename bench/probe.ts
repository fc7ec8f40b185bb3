/**
 * What a process under measurement says of itself. Loaded before anything else (`node --import`), in its threads too: it
 * stands between the broker and the file operations of Node.js, counts and times them, and makes each fdatasync take longer
 * by BENCH_SYNC_DELAY milliseconds. A parent with a channel to the process asks for the figures by the message 'probe'.
 */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { getEnvironmentData, isMainThread, setEnvironmentData } from 'node:worker_threads'

/** Since it was last asked. Times in milliseconds, memory in bytes. */
export interface Probed {
  readonly syncs: number
  readonly syncP50: number
  readonly syncP99: number
  /** Of all file operations together: what they have had of the threads of libuv, the time in its queue included. */
  readonly poolTime: number
  /** The longest that the event loop of the main thread was not looked after. */
  readonly longestPause: number
  /** The most time on a processor that the main thread has had between two looks at its timers: pauses of our own making. */
  readonly longestTurn: number
  /** Time on processors. */
  readonly processor: number
  /** The part of it that the main thread has had. */
  readonly mainThread: number
  readonly elapsed: number
  readonly resident: number
  /** The heap and what it refers to outside; with --expose-gc without what is garbage. */
  readonly heap: number
}

/** Times of syncs are counted in steps of 2 %, from a microsecond on. */
const STEP = Math.log(1.02)
const STEPS = 1_024
const RESOLUTION = 1
const NANOSECONDS = 1e6
const KEY = 'millrace bench probe'

/** Counts of all threads, in memory that they share: microseconds of the pool, then syncs by their time. */
const shared: Int32Array<SharedArrayBuffer> = isMainThread
  ? new Int32Array(new SharedArrayBuffer(4 * (1 + STEPS)))
  : (getEnvironmentData(KEY) as Int32Array<SharedArrayBuffer>)
const syncDelay = Number(process.env['BENCH_SYNC_DELAY'] ?? 0)
let delay: ReturnType<typeof monitorEventLoopDelay> | undefined
let longestTurn = 0
let before = { cpu: process.cpuUsage(), thread: process.threadCpuUsage(), at: performance.now() }

type Callback = (...results: unknown[]) => void

function watch(
  name: 'read' | 'writev' | 'fdatasync',
  answered: (milliseconds: number, tell: () => void) => void,
): void {
  const real = fs[name] as (...args: unknown[]) => void
  const watched = (...args: unknown[]): void => {
    const done = args.pop() as Callback
    const begun = performance.now()
    real(...args, (...results: unknown[]) => {
      const milliseconds = performance.now() - begun
      Atomics.add(shared, 0, Math.round(milliseconds * 1_000))
      answered(milliseconds, () => done(...results))
    })
  }
  Object.assign(fs, { [name]: watched })
}

function countSync(milliseconds: number): void {
  const step = Math.floor(Math.log(Math.max(1, milliseconds * 1_000)) / STEP)
  Atomics.add(shared, 1 + Math.min(STEPS - 1, step), 1)
}

/** Bytes of the heap and outside that it refers to; with --expose-gc without what is garbage. */
export function memory(): number {
  globalThis.gc?.()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** The figures since the last call. */
export function probe(): Probed {
  const counts = Array.from(shared, (_, index) => Atomics.exchange(shared, index, 0))
  const poolTime = counts[0]! / 1_000
  const steps = counts.slice(1)
  const syncs = steps.reduce((sum, count) => sum + count, 0)
  const cpu = process.cpuUsage(before.cpu)
  const thread = process.threadCpuUsage(before.thread)
  const elapsed = performance.now() - before.at
  const longestPause = delay && delay.count > 0 ? Math.max(0, delay.max / NANOSECONDS - RESOLUTION) : 0
  delay?.reset()
  const turn = longestTurn
  longestTurn = 0
  const heap = memory()
  // After the collection, which is ours: with much on the heap it would be a good part of what is measured next.
  before = { cpu: process.cpuUsage(), thread: process.threadCpuUsage(), at: performance.now() }
  return {
    syncs,
    syncP50: timeAt(steps, syncs * 0.5),
    syncP99: timeAt(steps, syncs * 0.99),
    poolTime,
    longestPause,
    longestTurn: turn,
    processor: (cpu.user + cpu.system) / 1_000,
    mainThread: (thread.user + thread.system) / 1_000,
    elapsed,
    heap,
    resident: process.memoryUsage.rss(),
  }
}

/** A machine that is busy with others makes pauses, but lets the thread work no more in a turn. */
function watchTurns(): void {
  let last = process.threadCpuUsage()
  setInterval(() => {
    const { user, system } = process.threadCpuUsage(last)
    last = process.threadCpuUsage()
    longestTurn = Math.max(longestTurn, (user + system) / 1_000 - RESOLUTION)
  }, RESOLUTION).unref()
}

function timeAt(steps: readonly number[], rank: number): number {
  let passed = 0
  const at = steps.findIndex((count) => {
    passed += count
    return passed > rank
  })
  return at < 0 ? Number.NaN : Math.exp((at + 0.5) * STEP) / 1_000
}

watch('read', (_, tell) => tell())
watch('writev', (_, tell) => tell())
watch('fdatasync', (milliseconds, tell) => {
  if (syncDelay === 0) {
    countSync(milliseconds)
    tell()
    return
  }
  const answered = performance.now()
  setTimeout(() => {
    countSync(milliseconds + performance.now() - answered)
    tell()
  }, syncDelay)
})
syncBuiltinESMExports()

if (isMainThread) {
  setEnvironmentData(KEY, shared)
  delay = monitorEventLoopDelay({ resolution: RESOLUTION })
  delay.enable()
  watchTurns()
  process.on('message', (message) => {
    if (message === 'probe') process.send!({ probed: probe() })
  })
  // A server that nobody measures any more has no reason to stay.
  process.on('disconnect', () => process.exit())
  process.channel?.unref()
}
