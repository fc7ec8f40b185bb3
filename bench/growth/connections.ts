import type { Curve, Series } from '../curves.ts'
import type { Probed } from '../probe.ts'
import { Program, type Surroundings } from '../programs.ts'
import { Server } from '../server.ts'
import type { GrowthScale } from './curves.ts'
import type { ConnectionsOrder } from './many-connections.ts'

const surroundings: Surroundings = { probed: true, node: ['--expose-gc'] }
/**
 * Not seconds: few messages come from many connections, and code that runs seldom is compiled late. With 50,000 before, a fifth
 * of the processor time that counted was the compiler's.
 */
const WARM_UP = 300_000
const MESSAGES = 50_000

/** A side that takes connections. */
interface Taker extends AsyncDisposable {
  readonly url: string
  probe(): Promise<Probed>
}

interface Point {
  /** Microseconds of the taker for each message that it answered. */
  readonly processor: number
  readonly rate: number
  readonly idleBytes: number
  readonly idleResident: number
}

/** AMQP connections to a served broker, beside raw TCP connections to a process that answers frames. */
export async function connectionsCurve(scale: GrowthScale, counts: readonly number[]): Promise<Curve> {
  const points = { AMQP: [] as (readonly [number, Point])[], TCP: [] as (readonly [number, Point])[] }
  for (const count of counts) {
    for (const kind of ['TCP', 'AMQP'] as const) points[kind].push([count, await measure(scale, kind, count)])
  }
  const line = (kind: 'AMQP' | 'TCP', unit: string, name: string, of: (point: Point) => number): Series => ({
    name: `${kind}${name}`,
    unit,
    points: points[kind].map(([count, point]) => [count, of(point)]),
  })
  const both = (unit: string, name: string, of: (point: Point) => number): Series[] =>
    (['AMQP', 'TCP'] as const).map((kind) => line(kind, unit, name, of))
  return {
    title: 'Messages from many connections',
    of: 'connections',
    series: [
      ...both('µs/msg', '', ({ processor }) => processor),
      ...both('msg/s', '', ({ rate }) => rate),
      ...both('B', ', heap of an idle one', ({ idleBytes }) => idleBytes),
      ...both('B', ', resident', ({ idleResident }) => idleResident),
    ],
  }
}

async function measure(scale: GrowthScale, kind: 'AMQP' | 'TCP', count: number): Promise<Point> {
  await using taker = await (kind === 'AMQP' ? serve(scale.directory) : echo())
  await using program = new Program(new URL('./many-connections.ts', import.meta.url))
  const ask = (order: ConnectionsOrder): Promise<void> => program.ask(order)
  const empty = await taker.probe()
  await ask({ do: 'open', kind, url: taker.url, count })
  const idle = await taker.probe()
  await ask({ do: 'load', messages: WARM_UP })
  await taker.probe()
  await ask({ do: 'load', messages: MESSAGES })
  const { processor, elapsed } = await taker.probe()
  return {
    processor: (processor * 1_000) / MESSAGES,
    rate: (MESSAGES / elapsed) * 1_000,
    idleBytes: (idle.heap - empty.heap) / count,
    idleResident: (idle.resident - empty.resident) / count,
  }
}

async function serve(directory: string): Promise<Taker> {
  // All of them come at once; how many may a second is another matter.
  const flags = ['--limits-connections-per-second', '1000000']
  return Server.start(directory, { ...surroundings, flags })
}

async function echo(): Promise<Taker> {
  const program = new Program(new URL('./tcp-echo.ts', import.meta.url), surroundings)
  const port = await program.ask<number>('listen')
  return {
    url: `tcp://127.0.0.1:${port}`,
    probe: () => program.probe(),
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  }
}
