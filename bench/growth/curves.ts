import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { BrokerProcess, type Seen } from '../backlog/broker-process.ts'
import type { Curve, Series } from '../curves.ts'
import { appends } from '../ground.ts'
import { Program, type Surroundings } from '../programs.ts'
import { Server } from '../server.ts'
import { connectionsCurve } from './connections.ts'
import type { ClientOrder, EngineOrder, Growth } from './order.ts'

export interface GrowthScale {
  readonly directory: string
  readonly seconds: number
  /** The largest x of each curve. */
  readonly most: {
    readonly queues: number
    readonly connections: number
    readonly subscribers: number
    readonly depth: number
  }
}

const surroundings: Surroundings = { probed: true, node: ['--expose-gc'] }
const MESSAGES = 500_000
const DELIVERIES = 500_000
/** As much as the journal writes at once. */
const PIECE = 4 * 2 ** 20

/** The curves by name, each measured when it is asked for. */
export const curves: Readonly<Record<string, (scale: GrowthScale) => Promise<Curve>>> = {
  queues: queuesCurve,
  connections: (scale) => connectionsCurve(scale, decadesTo(10, scale.most.connections)),
  subscribers: subscribersCurve,
  depth: depthCurve,
  bodies: bodiesCurve,
}

function decadesTo(first: number, most: number): number[] {
  const xs: number[] = []
  for (let x = first; x < most; x *= 10) xs.push(x)
  return [...xs, most]
}

async function queuesCurve(scale: GrowthScale): Promise<Curve> {
  const points: (readonly [number, Growth])[] = []
  for (const count of decadesTo(100, scale.most.queues)) {
    const order = { do: 'queues', count, messages: MESSAGES } as const
    points.push([count, await asked(scale, './engine.ts', (directory) => ({ ...order, directory }))])
  }
  return {
    title: 'Messages to many queues (engine on its journal)',
    of: 'queues',
    series: [
      series('processor time', 'µs/msg', points, ({ processor }) => processor),
      series('rate', 'msg/s', points, ({ rate }) => rate),
      series('memory of an idle queue', 'B', points.filter(isCountable), ({ idleBytes }) => idleBytes!),
    ],
  }
}

/** What a few queues take is less than what a collection happens to find elsewhere. */
function isCountable([count]: readonly [number, Growth]): boolean {
  return count >= 10_000
}

async function subscribersCurve(scale: GrowthScale): Promise<Curve> {
  const ways = [
    ['engine, durable', './engine.ts', true],
    ['embedded, durable', './client.ts', true],
    ['embedded, volatile', './client.ts', false],
  ] as const
  const all: Series[] = []
  for (const [name, program, durable] of ways) {
    const points: (readonly [number, Growth])[] = []
    for (const count of decadesTo(1, scale.most.subscribers)) {
      // One subscriber has as many deliveries as messages, and those are sent one by one.
      const deliveries = count < 100 ? DELIVERIES / 5 : DELIVERIES
      const order = { do: 'subscribers', count, deliveries, durable } as const
      points.push([count, await asked(scale, program, (directory) => ({ ...order, directory }))])
    }
    all.push(series(name, 'deliveries/s', points, ({ rate }) => rate))
    all.push(series(`${name}, processor`, 'µs/delivery', points, ({ processor }) => processor))
  }
  return { title: 'Deliveries to the subscribers of one topic', of: 'subscribers', series: all }
}

async function depthCurve(scale: GrowthScale): Promise<Curve> {
  const directory = mkdtempSync(join(scale.directory, 'depth-'))
  const broker = new BrokerProcess(directory, undefined)
  const sample = { count: MESSAGES, queues: 1 }
  const points: (readonly [number, { readonly published: Seen; readonly drained: Seen }])[] = []
  try {
    await broker.ask({ do: 'open' })
    await broker.ask({ do: 'declare', queues: 1 })
    // The first time is for the compiler.
    await broker.ask({ do: 'publish', ...sample })
    let { messages } = await broker.ask({ do: 'drain', ...sample })
    for (const depth of [0, ...decadesTo(10_000, scale.most.depth)]) {
      if (depth > messages) await broker.ask({ do: 'publish', count: depth - messages, queues: 1 })
      const published = await broker.ask({ do: 'publish', ...sample })
      const drained = await broker.ask({ do: 'drain', ...sample })
      ;({ messages } = drained)
      points.push([depth, { published, drained }])
    }
  } finally {
    await broker.kill()
    rmSync(directory, { recursive: true, force: true })
  }
  const each = ({ processor, count }: Seen): number => (processor * 1_000) / count
  return {
    title: 'Messages through a deep queue (engine on its journal)',
    of: 'messages in the queue',
    series: [
      series('publishing', 'µs/msg', points, ({ published }) => each(published)),
      series('draining', 'µs/msg', points, ({ drained }) => each(drained)),
      series('resident', 'MiB', points, ({ published }) => published.resident / 2 ** 20),
    ],
  }
}

async function bodiesCurve(scale: GrowthScale): Promise<Curve> {
  const sizes = [1_024, 65_536, 4 * 2 ** 20]
  const embedded: (readonly [number, Growth])[] = []
  const amqp: (readonly [number, Growth])[] = []
  const ground: (readonly [number, number])[] = []
  for (const size of sizes) {
    const order = { do: 'bodies', size, seconds: scale.seconds } as const
    embedded.push([
      size,
      await asked(scale, './client.ts', (directory) => ({ ...order, url: `file:${directory}` })),
    ])
    await using server = await Server.start(scale.directory, surroundings)
    amqp.push([size, await asked(scale, './client.ts', () => ({ ...order, url: server.url }))])
    ground.push([size, (await appends(scale, PIECE)) * (PIECE / 2 ** 20)])
  }
  const volume = (size: number, { rate }: Growth): number => (rate * size) / 2 ** 20
  const line = (name: string, points: typeof embedded): Series => ({
    name,
    unit: 'MiB/s',
    points: points.map(([size, growth]) => [size, volume(size, growth)]),
  })
  return {
    title: 'Bodies in and out, on disk',
    of: 'bytes',
    series: [
      line('embedded', embedded),
      line('AMQP', amqp),
      { name: 'append + fdatasync of 4 MiB', unit: 'MiB/s', points: ground },
    ],
  }
}

async function asked(
  scale: GrowthScale,
  program: string,
  order: (directory: string) => EngineOrder | ClientOrder,
): Promise<Growth> {
  const directory = mkdtempSync(join(scale.directory, 'data-'))
  try {
    const { do: what, ...more } = order(directory)
    process.stderr.write(`${what} ${JSON.stringify(more)}\n`)
    await using running = new Program(new URL(program, import.meta.url), surroundings)
    return await running.ask<Growth>(order(directory))
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function series<T>(
  name: string,
  unit: string,
  points: readonly (readonly [number, T])[],
  of: (measured: T) => number,
): Series {
  return { name, unit, points: points.map(([x, measured]) => [x, of(measured)]) }
}
