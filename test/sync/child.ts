/**
 * The process that is watched by strace: it sends messages whose bodies carry a token, and writes down with write(2), a line
 * each, what was answered:
 *   ready                          the broker is open
 *   confirmed N, written N         the send has reached disk, or the page cache, as it was asked for
 *   rejected N CODE                the send was refused
 *   accepting N, accepted N        before the acknowledgement is called for, and when it has resolved
 *   found N                        by browsing (mode look)
 */
import { writeSync } from 'node:fs'
import {
  type Context,
  connect,
  embedded,
  isMillraceError,
  type MessageProducer,
  queue,
} from '../../src/index.ts'
import { tokenOf } from './order.ts'

const KiB = 1024
const WAVES = 18
const [directory, mode] = process.argv.slice(2) as [string, 'send' | 'look']
const jobs = queue<string>('jobs')

let sequence = 0
let failed = false

function say(...fields: (string | number)[]): void {
  writeSync(1, `${fields.join(' ')}\n`)
}

function codeOf(error: unknown): string {
  return isMillraceError(error) ? error.code : String(error)
}

/** Every eleventh body is stored in chunks. The token is all over the body, so that no part of it is overlooked. */
function bodyOf(number: number): string {
  const bytes = number % 11 === 10 ? 600 * KiB : 100 + ((number * 977) % 6000)
  return tokenOf(number).repeat(Math.ceil(bytes / tokenOf(number).length))
}

function numberIn(body: string): number {
  return Number(/\d+/.exec(body)![0])
}

async function send(producer: MessageProducer<string>, number: number): Promise<void> {
  const durability = number % 7 === 6 ? 'os' : 'disk'
  try {
    await producer.send(bodyOf(number), { sequence: number, durability })
    say(durability === 'os' ? 'written' : 'confirmed', number)
  } catch (error) {
    failed = true
    say('rejected', number, codeOf(error))
  }
}

/** Some are sent twice at once: the second must not be confirmed ahead of the first. */
async function sendWave(producer: MessageProducer<string>, count: number): Promise<void> {
  const sends: Promise<void>[] = []
  for (let i = 0; i < count; i++) {
    sends.push(send(producer, ++sequence))
    if (sequence % 5 === 0) sends.push(send(producer, sequence))
  }
  await Promise.all(sends)
}

async function receive(mq: Context): Promise<void> {
  const consumer = await mq.createConsumer(jobs)
  for (;;) {
    const message = await consumer.receive()
    if (!message) return
    const number = numberIn(message.body)
    if (number % 3 === 0) continue
    say('accepting', number)
    message.acknowledge().then(
      () => say('accepted', number),
      () => {},
    )
  }
}

const mq = await connect(`file:${directory}`, {
  // Segments so small that there are many. Nothing is moved between files, so that a token is written where it was sent.
  provider: embedded({ journal: { segmentBytes: 64 * KiB, reserveBytes: 64 * KiB, compaction: false } }),
})
mq.on('error', (error) => say('error', error.code))
if (mode === 'look') {
  const isThere = (await mq.management.queues()).some(({ name }) => name === jobs.name)
  if (isThere) for await (const message of mq.browse(jobs)) say('found', numberIn(message.body))
} else {
  const producer = await mq.createProducer(jobs, { id: 'watched' })
  say('ready')
  const receiving = receive(mq).catch((error) => say('ended', codeOf(error)))
  for (let wave = 0; wave < WAVES && !failed; wave++) await sendWave(producer, 1 + (wave % 5))
  // The disk would answer again by now; the broker must not.
  if (failed) for (let late = 0; late < 3; late++) await sendWave(producer, 1)
  await mq.close()
  await receiving
}
await mq.close()
