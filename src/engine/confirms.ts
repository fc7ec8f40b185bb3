import type { MillraceError } from '../model/errors.ts'
import type { Connection } from './connection.ts'

const INITIAL = 256
/**
 * Publications of one level confirmed in one turn. Whoever is told sends more, and that is on its way to the disk while the
 * others are told: with all of them at once, disk and processor would wait for each other.
 */
const TURN_CONFIRMS = 512

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

  /** Takes out those up to `lsn`, at most `limit`; answers whether that were all. */
  release(lsn: number, limit: number, answer: (connection: Connection, tag: number) => void): boolean {
    const mask = this.lsns.length - 1
    const end = Math.min(this.tail, this.head + limit)
    while (this.head < end && this.lsns[this.head & mask]! <= lsn) {
      const at = this.head++ & mask
      const connection = this.connections[at]!
      this.connections[at] = null
      answer(connection, this.tags[at]!)
    }
    return this.head === this.tail || this.lsns[this.head & mask]! > lsn
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
  private readonly inMemory = new WaitingAnswers()
  private readonly settlements = new WaitingAnswers()
  /** Decisions of transactions and half messages, and who asked when all that was done before is durable; in order of LSN. */
  private readonly awaiting: { readonly lsn: number; readonly told: (error?: MillraceError) => void }[] = []
  private readonly touched: (connection: Connection) => void
  private writtenLsn = 0
  private durableLsn = 0
  /** There are more to be confirmed than one turn does; the next ones go on. */
  private behind = false
  /** Publications of level 'memory' confirmed in this turn. */
  private inMemoryNow = 0

  constructor(touched: (connection: Connection) => void) {
    this.touched = touched
  }

  publishedOnDisk(lsn: number, connection: Connection, tag: number): void {
    this.onDisk.push(lsn, connection, tag)
  }

  publishedInPageCache(lsn: number, connection: Connection, tag: number): void {
    this.inPageCache.push(lsn, connection, tag)
  }

  /** There is nothing to wait for but its turn: without, whoever is told at once outruns those who receive. */
  publishedInMemory(connection: Connection, tag: number): void {
    if (this.inMemoryNow < TURN_CONFIRMS) {
      this.inMemoryNow++
      this.answerPublish(connection, tag)
    } else {
      this.inMemory.push(0, connection, tag)
      this.behind = true
    }
  }

  settled(lsn: number, connection: Connection, request: number): void {
    this.settlements.push(lsn, connection, request)
  }

  /** The decision with this LSN takes effect when it is durable; when it never will be, nothing does. */
  decided(lsn: number, takeEffect: () => void): void {
    this.awaited(lsn, (error) => error ?? takeEffect())
  }

  /** `told` without an error: everything up to the LSN is durable. */
  awaited(lsn: number, told: (error?: MillraceError) => void): void {
    this.awaiting.push({ lsn, told })
  }

  written(lsn: number): void {
    this.writtenLsn = lsn
    if (!this.behind) this.goOn()
  }

  durable(lsn: number): void {
    this.durableLsn = lsn
    if (!this.behind) this.goOn()
    this.settlements.release(lsn, Number.POSITIVE_INFINITY, this.answerSettlement)
    let done = 0
    while (done < this.awaiting.length && this.awaiting[done]!.lsn <= lsn) done++
    if (done === 0) return
    for (const { told } of this.awaiting.splice(0, done)) told()
  }

  /** The connections have been told what was confirmed in this turn: the next publications are for the next one. */
  turned(): void {
    this.inMemoryNow = 0
    if (this.behind) this.goOn()
  }

  private goOn(): void {
    this.releaseUpTo(TURN_CONFIRMS)
  }

  /** Nothing more becomes durable: all that is left to be confirmed, and who waits for more is told why. */
  finish(error: MillraceError): void {
    this.releaseUpTo(Number.POSITIVE_INFINITY)
    for (const { told } of this.awaiting.splice(0)) told(error)
  }

  private releaseUpTo(limit: number): void {
    const cached = this.inPageCache.release(this.writtenLsn, limit, this.answerPublish)
    const synced = this.onDisk.release(this.durableLsn, limit, this.answerPublish)
    const kept = this.inMemory.release(0, limit - this.inMemoryNow, this.answerInMemory)
    this.behind = !(cached && synced && kept)
  }

  private readonly answerPublish = (connection: Connection, tag: number): void => {
    connection.outcome(tag, undefined)
    this.touched(connection)
  }

  private readonly answerInMemory = (connection: Connection, tag: number): void => {
    this.inMemoryNow++
    this.answerPublish(connection, tag)
  }

  private readonly answerSettlement = (connection: Connection, request: number): void => {
    connection.settled(request)
    this.touched(connection)
  }
}
