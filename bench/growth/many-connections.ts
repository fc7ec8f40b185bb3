/** Many connections of one kind, in a process of their own: they are idle, or each sends in its turn and waits for the answer. */
import { once } from 'node:events'
import { connect as dial, type Socket } from 'node:net'
import { type Context, connect, type MessageProducer, queue } from '../../src/index.ts'
import { serveProgram } from '../programs.ts'
import { ANSWER, FRAME } from './tcp-frames.ts'

export type ConnectionsOrder =
  | { readonly do: 'open'; readonly kind: 'AMQP' | 'TCP'; readonly url: string; readonly count: number }
  | { readonly do: 'load'; readonly messages: number }

/** Sent and not answered, of all connections together. */
const WINDOW = 1_000
const AT_ONCE = 50
const body = new Uint8Array(100).fill(7)
const jobs = queue<Uint8Array>('jobs')
const frame = Buffer.alloc(FRAME)

/** Resolves when what was sent has been answered. */
type Send = () => Promise<unknown>

const senders: Send[] = []

async function openAmqp(url: string): Promise<Send> {
  const mq = await connect(url)
  const producer: MessageProducer<Uint8Array> = await mq.createProducer(jobs)
  return () => producer.send(body)
}

async function openTcp(url: string): Promise<Send> {
  const { port, hostname } = new URL(url)
  const socket: Socket = dial({ port: Number(port), host: hostname, noDelay: true })
  await once(socket, 'connect')
  const waiting: (() => void)[] = []
  let bytes = 0
  socket.on('data', (chunk) => {
    bytes += chunk.length
    for (; bytes >= ANSWER; bytes -= ANSWER) waiting.shift()!()
  })
  return () =>
    new Promise<void>((resolve) => {
      waiting.push(resolve)
      socket.write(frame)
    })
}

async function open({ kind, url, count }: Extract<ConnectionsOrder, { do: 'open' }>): Promise<void> {
  const opening = async (): Promise<void> => {
    while (senders.length + opened < count) {
      opened++
      const sender = await (kind === 'AMQP' ? openAmqp(url) : openTcp(url))
      senders.push(sender)
      opened--
    }
  }
  let opened = 0
  await Promise.all(Array.from({ length: AT_ONCE }, opening))
  if (kind === 'AMQP') await consume(url)
}

/** What they send is taken away, so that the queue stays short. */
async function consume(url: string): Promise<void> {
  const mq: Context = await connect(url)
  await mq.consume(jobs, { prefetch: WINDOW * 4 }, () => {}).ready
}

async function load({ messages }: { messages: number }): Promise<void> {
  let left = messages
  let turn = 0
  const one = async (): Promise<void> => {
    while (left-- > 0) await senders[turn++ % senders.length]!()
  }
  await Promise.all(Array.from({ length: WINDOW }, one))
}

serveProgram<ConnectionsOrder, void>((order) => (order.do === 'open' ? open(order) : load(order)))
