import { once } from 'node:events'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

const NAME = 'ticker'

/** When moment 0 is, in milliseconds since 1970, and how many milliseconds there are between two. */
interface Moments {
  readonly begin: number
  readonly interval: number
}

/**
 * Calls back at a fixed rate, more often than timers can, whose unit is the millisecond. A thread of its own waits for the
 * moments: to look at the clock in every turn of the event loop would keep a processor busy that the broker needs, and make
 * garbage, for whose collection everything stands still several times a second.
 */
export class Ticker {
  private readonly thread: Worker

  private constructor(thread: Worker) {
    this.thread = thread
  }

  static async start(): Promise<Ticker> {
    const thread = new Worker(new URL(import.meta.url), { workerData: NAME })
    await once(thread, 'online')
    thread.unref()
    return new Ticker(thread)
  }

  /** Calls `tick` at `begin`, a moment of performance.now(), and so often a second from then on; later when we are busy. */
  begin(begin: number, rate: number, tick: () => void): void {
    this.thread.on('message', tick)
    const moments: Moments = { begin: performance.timeOrigin + begin, interval: 1000 / rate }
    this.thread.postMessage(moments)
  }

  async stop(): Promise<void> {
    this.thread.removeAllListeners('message')
    await this.thread.terminate()
  }
}

function tick({ begin, interval }: Moments): void {
  const sleep = new Int32Array(new SharedArrayBuffer(4))
  for (let due = begin - performance.timeOrigin; ; due += interval) {
    Atomics.wait(sleep, 0, 0, Math.max(0, due - performance.now()))
    parentPort!.postMessage(undefined)
  }
}

if (!isMainThread && workerData === NAME) parentPort!.once('message', tick)
