import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { embeddedRows } from '../embedded.ts'
import { groundRows } from '../ground.ts'
import type { EngineOrder, Growth } from '../growth/order.ts'
import { networkRows } from '../network.ts'
import { Program } from '../programs.ts'
import type { Row, Scale } from '../rows.ts'

/** What is watched: a figure of ours, and the one of the ground that it is compared with. */
export interface Guarded {
  readonly name: string
  readonly ours: Place
  readonly ground: Place
}

/** A row and which of its figures; a rate, of which more is better, or a time. */
interface Place {
  readonly row: string
  readonly part: string
  readonly kind: 'rate' | 'time'
}

const rate = (row: string): Place => ({ row, part: '', kind: 'rate' })
const time = (row: string, part: string): Place => ({ row, part, kind: 'time' })

const copying = rate('ground: copy 100 B in a loop')
const appending = rate('ground: append + fdatasync, 100 B, 1000 at once')
const syncing = time('ground: append + fdatasync, one at a time', 'p50')
const frames = rate('ground: frames of 142 B over TCP')
const fanOut = 'engine: deliveries to 1,000 subscribers'
const manyQueues = 'engine: messages through 1,000 queues'

export const guarded: readonly Guarded[] = [
  {
    name: 'embedded, disk, in batches',
    ours: rate('embedded: disk, 100 B, in batches'),
    ground: appending,
  },
  {
    name: 'embedded, memory, one by one',
    ours: rate('embedded: memory, 100 B, one by one'),
    ground: copying,
  },
  {
    name: 'embedded, disk, end to end at 1 k/s, p50',
    ours: time('embedded: disk, 100 B, end to end at 1 k/s', 'p50'),
    ground: syncing,
  },
  { name: 'AMQP, disk, our client', ours: rate('AMQP: disk, 100 B, our client'), ground: frames },
  {
    name: 'AMQP, disk, our client, broker CPU',
    ours: time('AMQP: disk, 100 B, our client', 'broker CPU'),
    ground: frames,
  },
  { name: '1,000 subscribers', ours: time(fanOut, 'processor'), ground: copying },
  { name: '1,000 queues', ours: time(manyQueues, 'processor'), ground: copying },
]

/** The rows that these need. */
export function guardedRows(scale: Scale, chosen: readonly Guarded[]): Row[] {
  const names = new Set(chosen.flatMap(({ ours, ground }) => [ours.row, ground.row]))
  const all = [...groundRows(scale), ...embeddedRows(scale), ...networkRows(scale), ...engineRows(scale)]
  return all.filter(({ name }) => names.has(name))
}

/** How many times as much as the ground it takes; less is better. */
export function cost({ ours, ground }: Guarded, figure: (row: string, part: string) => number): number {
  const spent = ({ row, part, kind }: Place): number =>
    kind === 'rate' ? 1e6 / figure(row, part) : figure(row, part)
  return spent(ours) / spent(ground)
}

function engineRows(scale: Scale): Row[] {
  const row = (name: string, order: (directory: string) => EngineOrder): Row => ({
    name,
    unit: 'µs/msg',
    measure: async () => {
      const directory = mkdtempSync(join(scale.directory, 'data-'))
      try {
        await using program = new Program(new URL('../growth/engine.ts', import.meta.url))
        const { processor } = await program.ask<Growth>(order(directory))
        return { processor }
      } finally {
        rmSync(directory, { recursive: true, force: true })
      }
    },
  })
  return [
    row(fanOut, (directory) => ({
      do: 'subscribers',
      directory,
      count: 1_000,
      deliveries: 300_000,
      durable: true,
    })),
    row(manyQueues, (directory) => ({ do: 'queues', directory, count: 1_000, messages: 100_000 })),
  ]
}
