/**
 * One of the doors of the shop: buyers come, as many in each moment, and ask to be let in. Who is refused is told so at once.
 * Who is let in orders the piece that the place stands for, and waits until it is sold. What became of everybody is noted in
 * a database of the door's.
 */
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as pause } from 'node:timers/promises'
import { connect, isMillraceError } from '../../src/index.ts'
import { openGate } from '../../src/patterns/index.ts'
import { tell } from '../support/program.ts'
import { answersAt, type Outcome, orders, SALE } from './words.ts'

/** How often buyers come, and what is known of them is noted and told. Milliseconds. */
const TICK = 10
const NOTE = 100
/** One of so many who are let in thinks better of it, after so long. */
const FICKLE = 20
const SECOND_THOUGHTS = 100

const [url, file, door, ...figures] = process.argv.slice(2) as [string, string, string, ...string[]]
const [first, count, places, rush] = figures.map(Number) as [number, number, number, number]

const database = new DatabaseSync(file)
database.exec(`
  PRAGMA journal_mode = WAL;
  CREATE TABLE buyers (buyer INTEGER PRIMARY KEY, outcome TEXT, number INTEGER, came INTEGER, told INTEGER, done INTEGER);
`)
const insert = database.prepare('INSERT INTO buyers VALUES (?, ?, ?, ?, ?, ?)')

const mq = await connect(url, { reconnect: { initial: 20, max: 200, firstAttempts: 100 } })
// Completions and acknowledgements that were on their way when the broker died: what they were for comes again.
mq.on('error', (error) => error.code === 'delivery-settled' || console.error(`${door}: ${error.message}`))
const gate = await openGate(mq, SALE, { places })

const waiting = new Map<number, (sold: boolean) => void>()
mq.consume(answersAt(door), ({ body: { buyer, sold } }) => {
  waiting.get(buyer)?.(sold)
  waiting.delete(buyer)
})

let come = 0
let told = 0
const notes: [number, Outcome, number | null, number, number, number][] = []

function note(): void {
  database.exec('BEGIN')
  for (const values of notes.splice(0)) insert.run(...values)
  database.exec('COMMIT')
  tell({ event: 'progress', come, told })
}

async function buy(buyer: number): Promise<void> {
  const came = Date.now()
  let heard = 0
  for (;;) {
    const admission = await gate.enter()
    if (heard === 0) told++
    heard ||= Date.now()
    const end = (outcome: Outcome): void =>
      void notes.push([buyer, outcome, admission?.number ?? null, came, heard, Date.now()])
    if (!admission) return end('refused')
    // Not towards the end: nobody would ask for the place any more.
    if (buyer % FICKLE === 0 && come < count / 2) {
      await pause(SECOND_THOUGHTS)
      await admission.release()
      return end('left')
    }
    const { number, token, signal } = admission
    if (signal.aborted) continue
    const answer = new Promise<boolean>((resolve) => waiting.set(buyer, resolve))
    await mq.send(orders, { buyer, number, token, door }, { messageId: `ID:${SALE}-${buyer}-${token}` })
    // Lost meanwhile, it may come to somebody else, who will find that the piece is sold, and use it up.
    await admission.complete().catch(ignoreLost)
    if (await answer) return end('sold')
  }
}

function ignoreLost(error: unknown): void {
  if (!isMillraceError(error) || error.code !== 'lock-lost') throw error
}

async function open(): Promise<void> {
  const noting = setInterval(note, NOTE)
  const begun = performance.now()
  const buying: Promise<void>[] = []
  while (come < count) {
    const due = Math.min(count, Math.ceil(((performance.now() - begun) / rush) * count))
    while (come < due) buying.push(buy(first + come++))
    await pause(TICK)
  }
  await Promise.all(buying)
  clearInterval(noting)
  note()
  tell({ event: 'done' })
}

process.on('message', () => void open())
process.on('disconnect', () => process.exit())
tell({ event: 'ready' })
