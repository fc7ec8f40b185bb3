/**
 * One person in the chat: a process with a database of its own, where it keeps what it has said and what it has heard. It may
 * be killed at any moment and started again. What it says gets a number first, in its database; what is not known to be
 * confirmed is sent again under its number, which the broker stores once. What it hears goes into the database before it is
 * acknowledged, under an id of the sender's, so that what comes again changes nothing.
 */
import { DatabaseSync } from 'node:sqlite'
import { connect, type Message } from '../../src/index.ts'
import { tell } from '../support/program.ts'
import { inboxOf, type Line, type Order, roomNamed } from './words.ts'

const [name, url, file, ...rooms] = process.argv.slice(2) as [string, string, string, ...string[]]

const database = new DatabaseSync(file)
database.exec(`
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  CREATE TABLE IF NOT EXISTS said (number INTEGER PRIMARY KEY, kind TEXT, target TEXT, text TEXT, confirmed INTEGER DEFAULT 0);
  CREATE TABLE IF NOT EXISTS heard (place TEXT, speaker TEXT, number INTEGER, text TEXT, again INTEGER DEFAULT 0,
    PRIMARY KEY (place, speaker, number));
`)
const insert = database.prepare('INSERT INTO said (kind, target, text) VALUES (?, ?, ?)')
const confirm = database.prepare('UPDATE said SET confirmed = 1 WHERE number = ?')
const hear = database.prepare(`
  INSERT INTO heard (place, speaker, number, text) VALUES (?, ?, ?, ?)
  ON CONFLICT DO UPDATE SET again = again + 1`)

const mq = await connect(url, { clientId: name, reconnect: { initial: 20, max: 200, firstAttempts: 100 } })
// Acknowledgements that were on their way when the broker died: what they were for comes again.
mq.on('error', (error) => error.code === 'delivery-settled' || console.error(`${name}: ${error.message}`))

// Everything it says has one order, so it has one producer.
const producer = await mq.createProducer(undefined, { id: name })

function send({ number, kind, target, text }: Said): Promise<void> {
  const line: Line = { speaker: name, number, text }
  const destination = kind === 'room' ? roomNamed(target) : inboxOf(target)
  return producer.sendTo(destination, line, { sequence: number }).then(() => void confirm.run(number))
}

interface Said {
  readonly number: number
  readonly kind: 'room' | 'person'
  readonly target: string
  readonly text: string
}

function listen(place: string): (message: Message<Line>) => void {
  return ({ body: { speaker, number, text } }) => {
    hear.run(place, speaker, number, text)
    tell({ event: 'heard' })
  }
}

mq.consume(inboxOf(name), { concurrency: 1 }, listen(name))
for (const room of rooms) {
  const subscription = await mq.subscribe(roomNamed(room), { name: room, noLocal: true })
  mq.consume(subscription, { concurrency: 1 }, listen(room))
}

// What it had said and does not know to be confirmed.
const open = database.prepare('SELECT * FROM said WHERE confirmed = 0 ORDER BY number').all()
const sends = new Set<Promise<void>>((open as unknown as Said[]).map(send))

function say(kind: Said['kind'], target: string, text: string): void {
  const { lastInsertRowid } = insert.run(kind, target, text)
  const sent = send({ number: Number(lastInsertRowid), kind, target, text })
  sends.add(sent)
  void sent.then(() => sends.delete(sent))
}

async function leave(): Promise<void> {
  await Promise.all(sends)
  await mq.close({ drain: '10s' })
  database.close()
  process.disconnect()
}

process.on('message', (order: Order) => {
  if (order.order === 'leave') void leave()
  else say(order.kind, order.target, order.text)
})
process.on('disconnect', () => process.exit())
tell({ event: 'online' })
