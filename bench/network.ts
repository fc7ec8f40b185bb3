import { fork } from 'node:child_process'
import { once } from 'node:events'
import { connect as dial } from 'node:net'
import { fileURLToPath } from 'node:url'
import { connect, queue } from '../src/index.ts'
import { latency, type Setting, throughput } from './loads.ts'
import { throughputOfRhea } from './rhea.ts'
import type { Row, Scale } from './rows.ts'
import { Server } from './server.ts'

const sink = fileURLToPath(new URL('./tcp-sink.ts', import.meta.url))
/** A transfer of 100 bytes as AMQP 1.0 frames it. */
const FRAME = 142
/** Seconds at full speed that do not count: both ends compile their code first, and nobody asks how fast that goes. */
const WARM_UP = 2
const units = { 'broker CPU': 'µs/msg', 'client CPU': 'µs/msg' } as const
const small = { durability: 'disk', size: 100 } as const

/** Through `millrace serve` over TCP, beside frames of the same size over TCP with nothing done to them. */
export function networkRows(scale: Scale): Row[] {
  return [
    { name: `ground: frames of ${FRAME} B over TCP`, unit: 'msg/s', measure: () => frames(scale) },
    ...(['disk', 'memory'] as const).map((durability): Row => {
      const setting = { durability, size: 100 }
      const measure = (): Promise<Record<string, number>> => ours(scale, setting)
      return { name: `AMQP: ${durability}, 100 B, our client`, unit: 'msg/s', units, measure }
    }),
    { name: 'AMQP: disk, 100 B, rhea', unit: 'msg/s', units, measure: () => rheas(scale) },
    ...[1_000, 10_000].map(
      (rate): Row => ({
        name: `AMQP: disk, 100 B, end to end at ${rate / 1000} k/s`,
        unit: 'ms',
        measure: () => ourLatency(scale, rate),
      }),
    ),
  ]
}

async function ours(scale: Scale, setting: Setting): Promise<Record<string, number>> {
  await using server = await Server.start(scale.directory)
  await using mq = await connect(server.url)
  const subject = { mq, jobs: queue<Uint8Array>('jobs') }
  return await warm(server, scale, (seconds) => throughput(subject, seconds, setting, 'one by one'))
}

async function rheas(scale: Scale): Promise<Record<string, number>> {
  await using server = await Server.start(scale.directory)
  return await warm(server, scale, (seconds) => throughputOfRhea(server.amqp, seconds, small.size))
}

/** The rate of a load from this process, and what both ends have spent on a message. */
async function warm(
  server: Server,
  { seconds }: Scale,
  load: (seconds: number) => Promise<{ rate: number; messages: number }>,
): Promise<Record<string, number>> {
  await load(WARM_UP)
  const brokerBefore = await server.cpu()
  const before = process.cpuUsage()
  const { rate, messages } = await load(seconds)
  const { user, system } = process.cpuUsage(before)
  const broker = (await server.cpu()) - brokerBefore
  return { '': rate, 'broker CPU': broker / messages, 'client CPU': (user + system) / messages }
}

async function ourLatency(scale: Scale, rate: number): Promise<Record<string, number>> {
  await using server = await Server.start(scale.directory)
  await using mq = await connect(server.url)
  return await latency({ mq, jobs: queue<Uint8Array>('jobs') }, scale.seconds, small, rate)
}

/** As fast as another process counts them and answers a byte for each thousand. */
async function frames(scale: Scale): Promise<Record<string, number>> {
  const child = fork(sink, { execArgv: [] })
  const [port] = (await once(child, 'message')) as [number]
  const socket = dial(port, '127.0.0.1')
  await once(socket, 'connect')
  const frame = Buffer.alloc(FRAME)
  frame.writeUInt32BE(FRAME)
  const burst = Buffer.concat(Array.from({ length: 1000 }, () => frame))
  const begun = performance.now()
  const until = begun + scale.seconds * 1000
  let answered = 0
  let sent = 0
  const done = Promise.withResolvers<void>()
  const more = (): void => {
    while (performance.now() < until && sent - answered < 8) {
      sent++
      socket.write(burst)
    }
    if (sent === answered) done.resolve()
  }
  socket.on('data', (answers) => {
    answered += answers.length
    more()
  })
  more()
  await done.promise
  const rate = (answered * 1000) / ((performance.now() - begun) / 1000)
  socket.destroy()
  child.kill()
  return { '': rate }
}
