import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { percentiles } from '../loads.ts'
import type { Probed } from '../probe.ts'
import { Program, type Surroundings } from '../programs.ts'
import type { Row, Scale, Unit } from '../rows.ts'
import { Server } from '../server.ts'
import type { Load, Order, Seen } from './order.ts'

type Place = 'embedded' | 'AMQP' | 'AMQP with TLS'

type Ask = <Answer>(order: Order) => Promise<Answer>

const client = new URL('./client.ts', import.meta.url)
/** Load without counting, after the warming up at full speed, which is another load. */
const UNCOUNTED = 1

const units: Readonly<Record<string, Unit>> = {
  'messages a second': 'msg/s',
  'fdatasyncs a message': '',
}

/** Every load in every place, and with a slower disk where that makes a difference of its own. */
export function latencyRows(scale: Scale): Row[] {
  const loads: readonly (readonly [string, Load])[] = [
    ['end to end at 1 k/s', { kind: 'rate', rate: 1_000 }],
    ['end to end at 10 k/s', { kind: 'rate', rate: 10_000 }],
    ['end to end, one in flight', { kind: 'one in flight' }],
    ['confirm, a lonely sender', { kind: 'senders', senders: 1 }],
    ['confirm, a thousand senders', { kind: 'senders', senders: 1_000 }],
  ]
  const rows: Row[] = []
  for (const syncDelay of [0, 2, 10]) {
    for (const place of ['embedded', 'AMQP', 'AMQP with TLS'] as const) {
      if (syncDelay > 0 && place === 'AMQP with TLS') continue
      const disk = syncDelay === 0 ? '' : `, fdatasync + ${syncDelay} ms`
      for (const [name, load] of loads) {
        rows.push({
          name: `${place}: ${name}${disk}`,
          unit: 'ms',
          units,
          measure: () => measure(scale, place, load, syncDelay),
        })
      }
    }
  }
  return rows
}

async function measure(
  scale: Scale,
  place: Place,
  load: Load,
  syncDelay: number,
): Promise<Record<string, number>> {
  await using stack = new AsyncDisposableStack()
  const slow = { probed: true, syncDelay }
  const connect = async (order: Order, surroundings: Surroundings): Promise<Ask> => {
    // Ends before what it uses.
    const program = stack.use(new Program(client, surroundings))
    await program.ask(order)
    return (next) => program.ask(next)
  }
  if (place === 'embedded') {
    const directory = mkdtempSync(join(scale.directory, 'data-'))
    stack.defer(() => rmSync(directory, { recursive: true, force: true }))
    const ask = await connect({ do: 'connect', url: `file:${directory}`, options: {} }, slow)
    return figures(load, await loaded(ask, load, scale.seconds), undefined)
  }
  const server = stack.use(await Server.start(scale.directory, { ...slow, tls: place === 'AMQP with TLS' }))
  const ask = await connect({ do: 'connect', ...whereTo(server, place) }, { probed: true })
  const seen = await loaded(ask, load, scale.seconds, () => server.probe())
  return figures(load, seen, await server.probe())
}

function whereTo(server: Server, place: Place): Pick<Extract<Order, { do: 'connect' }>, 'url' | 'options'> {
  if (place === 'AMQP') return { url: server.url, options: {} }
  return { url: server.secureUrl, options: { tls: { ca: server.certificate } } }
}

async function loaded(ask: Ask, load: Load, seconds: number, begun?: () => Promise<unknown>): Promise<Seen> {
  await ask({ do: 'load', load, seconds: UNCOUNTED })
  await begun?.()
  return await ask<Seen>({ do: 'load', load, seconds })
}

function figures(
  load: Load,
  { messages, times, probed }: Seen,
  server: Probed | undefined,
): Record<string, number> {
  const broker = server ?? probed
  return {
    ...percentiles(times),
    ...(load.kind === 'rate' ? {} : { 'messages a second': (messages / probed.elapsed) * 1_000 }),
    'fdatasyncs a message': broker.syncs / messages,
    'fdatasync p50': broker.syncP50,
    'fdatasync p99': broker.syncP99,
    ...pauses('broker', broker),
    ...(server ? pauses('client', probed) : {}),
  }
}

function pauses(whose: string, { longestPause, longestTurn }: Probed): Record<string, number> {
  return {
    [`longest pause of the ${whose}`]: longestPause,
    [`longest turn of the ${whose}, on the processor`]: longestTurn,
  }
}
