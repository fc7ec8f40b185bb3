import { HostClock } from '../embedded/host.ts'
import type { Clock } from '../engine/ports/clock.ts'

/**
 * The event loop of a server. What all clients have sent by the time the loop has heard them is one turn of the engine, what
 * that commits is one batch for the disk, and what it answers is written then, each once a round and in this order. With a turn
 * for each read, as a program has it that embeds a broker, thousands of connections would have as many.
 */
export class ServerLoop {
  readonly engine: Stage
  readonly store: Stage
  readonly output: Stage
  private readonly stages: readonly Stage[]
  private scheduled = false
  /** The stage that runs; none: behind the last. */
  private at: number

  constructor() {
    const host = new HostClock()
    this.stages = [0, 1, 2].map((place) => new Stage(host, () => this.wanted(place)))
    this.at = this.stages.length
    ;[this.engine, this.store, this.output] = this.stages as [Stage, Stage, Stage]
  }

  /** What a stage defers to itself or to one before it comes in the next round, after waiting I/O. */
  private wanted(place: number): void {
    if (this.scheduled || place > this.at) return
    this.scheduled = true
    setImmediate(this.run)
  }

  private readonly run = (): void => {
    this.scheduled = false
    try {
      for (this.at = 0; this.at < this.stages.length; this.at++) this.stages[this.at]!.run()
    } finally {
      this.at = this.stages.length
    }
  }
}

/** Time as the process has it, with a place in the round for what is deferred. */
class Stage implements Clock {
  private readonly host: HostClock
  private readonly wanted: () => void
  private deferred: (() => void)[] = []

  constructor(host: HostClock, wanted: () => void) {
    this.host = host
    this.wanted = wanted
  }

  monotonic(): number {
    return this.host.monotonic()
  }

  wall(): number {
    return this.host.wall()
  }

  after(delay: number, callback: () => void): () => void {
    return this.host.after(delay, callback)
  }

  defer(callback: () => void): void {
    if (this.deferred.push(callback) === 1) this.wanted()
  }

  run(): void {
    const { deferred } = this
    if (deferred.length === 0) return
    this.deferred = []
    for (const callback of deferred) callback()
  }
}
