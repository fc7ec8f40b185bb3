/**
 * The process that is killed: a broker on a directory of files with producers and consumers. It says on standard output what
 * it is about to do and what has been confirmed; see protocol.ts.
 */
import { writeSync } from 'node:fs'
import {
  type Context,
  connect,
  embedded,
  isMillraceError,
  type Message,
  type MessageConsumer,
  type MessageProducer,
  queue,
  type Receivable,
} from '../../src/index.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import type { Assignment, Verb } from './protocol.ts'
import { carryTokens, isEnd, isTokenQueue, reportTokens } from './tokens.ts'
import {
  bodyOf,
  bodyProblem,
  CLIENT_ID,
  deadLettersOf,
  events,
  files,
  homes,
  orders,
  plan,
  queuesOf,
  subscriptions,
  tight,
  urgent,
} from './workload.ts'

const KiB = 1024
const assignment: Assignment = JSON.parse(process.argv[2]!)
const { seed, round, mode } = assignment
const random = new SeededRandom(seed * 10_007 + round)
/** Sends of one producer that are under way at once. */
const WINDOW = 12
/** Messages held in all queues above which producers wait. */
const BACKLOG = 250

const destinations = { orders, urgent, files, tight, events } as const

let undecidedSends = 0
let unsettled = 0
let backlog = 0
let acknowledged = 0
/** Producers send nothing new; then, when everything is decided, the connection closes. */
let stopping = false
let closing = false
/** Consumers and producers: what is to be closed early may be acknowledged before the last consumer is there. */
let started: Promise<void> = Promise.resolve()
let sent: Promise<unknown> = Promise.resolve()
let carried: Promise<unknown> = Promise.resolve()
let waitingForRoom: (() => void)[] = []

/** Written at once, so that it is with the parent whatever happens to this process next. */
function say(verb: Verb, ...fields: (string | number)[]): void {
  writeSync(1, `${[verb, ...fields].join(' ')}\n`)
}

function problem(error: unknown): void {
  const text = isMillraceError(error) ? `${error.code}: ${error.message}` : String((error as Error).stack)
  say('problem', text.replaceAll('\n', ' | '))
}

/** After `close` was called, calls that come too late are refused, and that is right. */
function failed(error: unknown): void {
  if (!closing) problem(error)
}

async function report(mq: Context): Promise<void> {
  await reportTokens(mq, say)
  for (const { name, messages } of await mq.management.queues()) {
    if (isTokenQueue(name)) continue
    for await (const message of mq.browse(queue(name))) {
      const { producer, sequence } = identify(message)
      say('held', name, producer, sequence, message.brokerId)
      check(message)
      backlog++
    }
    say('count', name, messages)
  }
}

function identify(message: Message): { producer: string; sequence: number } {
  const { producer, sequence } = message.properties
  return { producer: producer as string, sequence: sequence as number }
}

function check(message: Message): void {
  const { producer, sequence } = identify(message)
  const wrong = bodyProblem(plan(seed, producer, sequence), producer, sequence, message.body)
  if (wrong) say('problem', wrong)
}

async function send(producer: MessageProducer, name: string, sequence: number): Promise<void> {
  const planned = plan(seed, name, sequence)
  const { priority, durability, place } = planned
  const properties = { producer: name, sequence }
  undecidedSends++
  for (;;) {
    say('sending', name, sequence)
    try {
      const body = bodyOf(planned, name, sequence)
      await producer.sendTo(destinations[place], body, { sequence, priority, durability, properties })
      say('confirmed', name, sequence)
      backlog += queuesOf[place].length
      break
    } catch (error) {
      if (!isMillraceError(error) || error.code !== 'queue-full') {
        failed(error)
        break
      }
      say('refused', name, sequence, error.code)
      await acceptance()
    }
  }
  undecidedSends--
}

/** Resolves when a message has been accepted. */
function acceptance(): Promise<void> {
  return new Promise((resolve) => waitingForRoom.push(resolve))
}

async function produce(mq: Context, name: string): Promise<void> {
  const producer = await mq.createProducer(undefined, { id: name })
  say('last', name, producer.lastSequence)
  const { unanswered, next } = assignment.producers[name]!
  const flying = new Set<Promise<void>>()
  const begin = async (sequence: number): Promise<void> => {
    const sent: Promise<void> = send(producer, name, sequence).finally(() => flying.delete(sent))
    flying.add(sent)
    if (flying.size >= WINDOW) await Promise.race(flying)
  }
  for (const sequence of unanswered) await begin(sequence)
  for (let sequence = next; mode === 'work' && !stopping; sequence++) {
    while (backlog > BACKLOG && !stopping) await acceptance()
    if (!stopping) await begin(sequence)
  }
  await Promise.all(flying)
}

/** What is kept for ever in a queue with a capacity would stop its producers. */
function isBounded(name: string): boolean {
  return name === 'orders' || name === 'tight'
}

function settle(name: string, message: Message): void {
  const { producer, sequence } = identify(message)
  const isDead = name.endsWith('.dlq')
  const way =
    mode === 'drain' || isDead
      ? 'accept'
      : random.weighted({ accept: 84, fail: 8, reject: 4, release: 3, keep: isBounded(name) ? 0 : 1 })
  if (way === 'keep') return
  if (way === 'release') {
    say('releasing', name, producer, sequence)
    message.release().catch(failed)
    return
  }
  const verbs = {
    accept: ['accepting', 'accepted', () => message.acknowledge()],
    fail: ['failing', 'failed', () => message.fail('tried')],
    reject: ['rejecting', 'rejected', () => message.reject('refused')],
  } as const
  const [before, after, call] = verbs[way]
  say(before, name, producer, sequence)
  unsettled++
  call().then(
    () => {
      unsettled--
      say(after, name, producer, sequence)
      if (way === 'accept') accepted()
    },
    (error) => {
      unsettled--
      failed(error)
    },
  )
}

function accepted(): void {
  acknowledged++
  backlog--
  const waiting = waitingForRoom
  waitingForRoom = []
  for (const wake of waiting) wake()
  if (acknowledged === assignment.closeAfter) finish().catch(problem)
}

async function consume(name: string, consumer: MessageConsumer, number: number): Promise<void> {
  // Some settle at once and some in bundles, so that acknowledgements are ranges and holes.
  const bundle = random.pick([1, 1, 7])
  let pending: Message[] = []
  for (;;) {
    const message = await consumer.receive(pending.length > 0 ? { timeout: 2 } : {})
    if (closing) return
    if (!message) {
      for (const each of pending) settle(name, each)
      pending = []
      continue
    }
    const { producer, sequence } = identify(message)
    const origin = message.deadLetter?.origin.brokerId ?? '-'
    say('delivered', name, producer, sequence, message.brokerId, number, message.deliveryCount, origin)
    check(message)
    pending.push(message)
    if (mode === 'work' && pending.length < bundle) continue
    for (const each of pending) settle(name, each)
    pending = []
  }
}

async function startConsumers(): Promise<void> {
  const [audit, billing] = await Promise.all(
    subscriptions.map((subscription) => mq.subscribe(events, subscription)),
  )
  const sources: [string, Receivable, number][] = [
    ['orders', orders, 3],
    ['urgent', urgent, 2],
    ['files', files, 2],
    ['tight', tight, 1],
    [queuesOf.events[0]!, audit!, 1],
    [queuesOf.events[1]!, billing!, 2],
    ...homes.map((home): [string, Receivable, number] => [
      deadLettersOf(home),
      queue(deadLettersOf(home)),
      1,
    ]),
  ]
  let number = 0
  for (const [name, source, consumers] of sources) {
    for (let i = 0; i < consumers; i++) {
      const consumer = await mq.createConsumer(source, { prefetch: random.pick([0, 1, 8, 64]) })
      consume(name, consumer, ++number).catch(failed)
    }
  }
}

async function finish(): Promise<void> {
  stopping = true
  say('closing')
  await started
  for (const wake of waitingForRoom) wake()
  await sent
  await carried
  closing = true
  await mq.close()
  say('closed')
}

/** Nothing is left to be sent, to be received or to be confirmed. */
async function isDrained(): Promise<boolean> {
  if (undecidedSends > 0 || unsettled > 0) return false
  return (await mq.management.queues()).every(({ name, messages }) => messages === 0 || isTokenQueue(name))
}

async function start(): Promise<void> {
  await startConsumers()
  sent = Promise.all(Object.keys(assignment.producers).map((name) => produce(mq, name)))
  sent.catch(failed)
  if (mode !== 'work') return
  carried = carryTokens(mq, say, () => stopping).catch((error: unknown) => {
    if (!isEnd(error)) failed(error)
  })
}

async function drain(): Promise<void> {
  await sent
  for (;;) {
    const before = acknowledged
    if (await isDrained()) break
    if (before === acknowledged) await acceptance()
  }
  await finish()
}

const mq = await connect(`file:${assignment.directory}`, {
  clientId: CLIENT_ID,
  // Small files, so that a second has seen segments, checkpoints, compaction and paging.
  provider: embedded({
    residentEntries: 128,
    journal: {
      segmentBytes: 256 * KiB,
      checkpointBytes: 512 * KiB,
      compactionBytes: 256 * KiB,
      reserveBytes: 256 * KiB,
      cacheBytes: 512 * KiB,
      idleInterval: 15,
    },
  }),
})
mq.on('error', failed)
await report(mq)
say('ready')
if (mode === 'look') {
  await finish()
} else {
  started = start()
  await started
  if (mode === 'drain') await drain()
}
