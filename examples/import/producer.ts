/**
 * Sends the lines of a file of orders and notes the number of each line in a log once the broker has confirmed it. It may be
 * killed at any moment and started again: it carries on after the last number in its log.
 *
 * Lines that it had sent and not noted are in doubt: stored or not, the log does not tell. It sends them again. Each line has
 * a number under the producer's id, so the broker stores it once.
 */
import { closeSync, existsSync, openSync, readFileSync, writeSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { connect } from '../../src/index.ts'
import { orders, parseOrder, readLines } from './order.ts'

/** Orders come in at a few thousand a second, so that there is time to be killed. */
const LINES_PER_PAUSE = 5
/** Confirmed lines that are noted with one write; when it is killed, as many may be confirmed and not noted. */
const LINES_PER_NOTE = 64

const [url, file, logFile] = process.argv.slice(2) as [string, string, string]
const done = existsSync(logFile) ? readFileSync(logFile, 'utf8').split('\n').filter(Boolean).length : 0
const log = openSync(logFile, 'a')

await using mq = await connect(url)
const producer = await mq.createProducer(orders, { id: 'orders.csv' })
console.log(JSON.stringify({ noted: done, stored: producer.lastSequence }))

let confirmed: number[] = []
function note(): void {
  writeSync(log, confirmed.map((number) => `${number}\n`).join(''))
  confirmed = []
}

const sends: Promise<unknown>[] = []
for (const [index, line] of readLines(file).entries()) {
  const number = index + 1
  if (number <= done) continue
  const sent = producer.send(parseOrder(line), { sequence: number })
  sends.push(
    sent.then(() => {
      if (confirmed.push(number) === LINES_PER_NOTE) note()
    }),
  )
  if (number % LINES_PER_PAUSE === 0) await pause(1)
}
await Promise.all(sends)
note()
closeSync(log)
