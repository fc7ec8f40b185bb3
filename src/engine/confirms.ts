import type { Connection } from './connection.ts'

const INITIAL = 256

/** A ring of answers that wait until the store has reached an LSN, in LSN order. */
class WaitingAnswers {
  private lsns = new Float64Array(INITIAL)
  private tags = new Float64Array(INITIAL)
  private connections: (Connection | null)[] = new Array(INITIAL).fill(null)
  private head = 0
  private tail = 0

  push(lsn: number, connection: Connection, tag: number): void {
    if (this.tail - this.head === this.lsns.length) this.grow()
    const at = this.tail++ & (this.lsns.length - 1)
    this.lsns[at] = lsn
    this.tags[at] = tag
    this.connections[at] = connection
  }

  /** Takes out all up to `lsn`. */
  release(lsn: number, answer: (connection: Connection, tag: number) => void): void {
    const mask = this.lsns.length - 1
    while (this.head < this.tail && this.lsns[this.head & mask]! <= lsn) {
      const at = this.head++ & mask
      const connection = this.connections[at]!
      this.connections[at] = null
      answer(connection, this.tags[at]!)
    }
  }

  private grow(): void {
    const size = this.lsns.length * 2
    const mask = this.lsns.length - 1
    const lsns = new Float64Array(size)
    const tags = new Float64Array(size)
    const connections: (Connection | null)[] = new Array(size).fill(null)
    for (let i = this.head; i < this.tail; i++) {
      lsns[i & (size - 1)] = this.lsns[i & mask]!
      tags[i & (size - 1)] = this.tags[i & mask]!
      connections[i & (size - 1)] = this.connections[i & mask]!
    }
    this.lsns = lsns
    this.tags = tags
    this.connections = connections
  }
}

/**
 * The one place where a message or a settlement is confirmed (DESIGN §4.1): nothing is answered before the store has
 * reported the level that was asked for.
 */
export class Confirms {
  private readonly onDisk = new WaitingAnswers()
  private readonly inPageCache = new WaitingAnswers()
  private readonly settlements = new WaitingAnswers()
  /** Decisions of transactions and half messages, in order of LSN. */
  private readonly decisions: { readonly lsn: number; readonly takeEffect: () => void }[] = []
  private readonly touched: (connection: Connection) => void

  constructor(touched: (connection: Connection) => void) {
    this.touched = touched
  }

  publishedOnDisk(lsn: number, connection: Connection, tag: number): void {
    this.onDisk.push(lsn, connection, tag)
  }

  publishedInPageCache(lsn: number, connection: Connection, tag: number): void {
    this.inPageCache.push(lsn, connection, tag)
  }

  settled(lsn: number, connection: Connection, request: number): void {
    this.settlements.push(lsn, connection, request)
  }

  /** The decision with this LSN takes effect when it is durable. */
  decided(lsn: number, takeEffect: () => void): void {
    this.decisions.push({ lsn, takeEffect })
  }

  written(lsn: number): void {
    this.inPageCache.release(lsn, this.answerPublish)
  }

  durable(lsn: number): void {
    this.onDisk.release(lsn, this.answerPublish)
    this.settlements.release(lsn, this.answerSettlement)
    this.takeDecisions(lsn)
  }

  private takeDecisions(lsn: number): void {
    let durable = 0
    while (durable < this.decisions.length && this.decisions[durable]!.lsn <= lsn) durable++
    if (durable === 0) return
    for (const { takeEffect } of this.decisions.splice(0, durable)) takeEffect()
  }

  private readonly answerPublish = (connection: Connection, tag: number): void => {
    connection.outcome(tag, undefined)
    this.touched(connection)
  }

  private readonly answerSettlement = (connection: Connection, request: number): void => {
    connection.settled(request)
    this.touched(connection)
  }
}
