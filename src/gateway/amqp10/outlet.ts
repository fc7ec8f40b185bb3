/** Bytes of output above which nothing more is asked of the engine: the other end does not read as fast as it takes. */
const OUTPUT_BYTES = 512 * 1024

/** A link that would deliver more. */
export interface Waiting {
  pump(): void
}

/** What a connection has been delivered and has not settled, and how far its output may go on. */
export class Outlet {
  count = 0
  private bytes = 0
  private readonly limit: number
  private readonly outputBytes: () => number
  /** Undefined as long as there is none, as is asked with each output. */
  private waiting: Set<Waiting> | undefined

  constructor(limit: number, outputBytes: () => number) {
    this.limit = limit
    this.outputBytes = outputBytes
  }

  get isWaited(): boolean {
    return this.waiting !== undefined
  }

  /** Bytes that may still be unsettled; 0 when there is no room for them or for output. */
  get room(): number {
    return this.flows ? Math.max(0, this.limit - this.bytes) : 0
  }

  /** Whether the other end takes what is written to it. */
  get flows(): boolean {
    return this.outputBytes() < OUTPUT_BYTES
  }

  wait(link: Waiting): void {
    this.waiting ??= new Set()
    this.waiting.add(link)
  }

  forget(link: Waiting): void {
    this.waiting?.delete(link)
  }

  /** There may be room: those that wait try again. */
  wake(): void {
    const { waiting } = this
    if (!waiting || !this.flows) return
    this.waiting = undefined
    for (const link of waiting) link.pump()
  }

  delivered(size: number): void {
    this.count++
    this.bytes += size
  }

  settled(count: number, bytes: number): void {
    this.count -= count
    this.bytes -= bytes
  }
}
