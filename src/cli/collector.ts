import { getHeapStatistics, setFlagsFromString } from 'node:v8'

/** Of a heap, above which memory counts for more than time. Bytes. */
const LARGE = 64 * 2 ** 20
/** How much a small heap may grow before all of it is searched for garbage, instead of what V8 chooses (0). Percent. */
const ROOM = 200
const INTERVAL = 1_000

/** Of V8, as far as it is needed. */
export interface Collector {
  heapBytes(): number
  setFlag(flag: string): void
}

const v8: Collector = {
  heapBytes: () => getHeapStatistics().used_heap_size,
  setFlag: setFlagsFromString,
}

/**
 * A server that holds little has a small heap, and beside it the bytes that come, go and are soon forgotten; V8 takes these for
 * growth and searches the whole heap several times a second, which was a quarter of a server's work. As long as the heap is
 * small it may grow threefold; from then on V8 decides as usual. Only for a process that is nothing but a server.
 */
export class CollectorGuide implements Disposable {
  private readonly collector: Collector
  private readonly ticker: NodeJS.Timeout
  private room = 0

  constructor(collector: Collector = v8) {
    this.collector = collector
    this.guide()
    this.ticker = setInterval(() => this.guide(), INTERVAL).unref()
  }

  private guide(): void {
    this.give(this.collector.heapBytes() < LARGE ? ROOM : 0)
  }

  private give(room: number): void {
    if (room !== this.room) this.collector.setFlag(`--heap-growing-percent=${room}`)
    this.room = room
  }

  [Symbol.dispose](): void {
    clearInterval(this.ticker)
    this.give(0)
  }
}
