import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { percentiles } from '../loads.ts'
import { Program } from '../programs.ts'
import type { Row, Scale } from '../rows.ts'
import type { Order } from './order.ts'
import type { UpkeepSeen } from './upkeep.ts'

const RATE = 10_000
const QUIET_SECONDS = 5

/** The 99th percentile while the journal puts itself in order, beside that of quiet in the same run. */
export function upkeepRow(scale: Scale, bytes: number): Row {
  return {
    name: `embedded: end to end at ${RATE / 1000} k/s around the compaction of ${round(bytes)} GiB`,
    unit: 'ms',
    units: {
      'compacted, MiB': 'MiB',
      checkpoints: '',
      expired: '',
      purged: '',
      'busy, seconds': '',
    },
    measure: () => measure(scale, bytes),
  }
}

async function measure(scale: Scale, bytes: number): Promise<Record<string, number>> {
  await using stack = new AsyncDisposableStack()
  const directory = mkdtempSync(join(scale.directory, 'data-'))
  stack.defer(() => rmSync(directory, { recursive: true, force: true }))
  const program = stack.use(
    new Program(new URL('./client.ts', import.meta.url), { probed: true, syncDelay: 0 }),
  )
  const ask = <Answer>(order: Order): Promise<Answer> => program.ask(order)
  await ask({ do: 'connect', url: `file:${directory}`, options: {} })
  const seen = await ask<UpkeepSeen>({ do: 'upkeep', bytes, rate: RATE, seconds: QUIET_SECONDS })
  return {
    ...named('quiet', percentiles(seen.quiet)),
    'quiet, longest pause': seen.quietProbed.longestPause,
    'quiet, longest turn, on the processor': seen.quietProbed.longestTurn,
    'quiet, fdatasync p99': seen.quietProbed.syncP99,
    ...named('busy', percentiles(seen.busy)),
    'busy, longest pause': seen.busyProbed.longestPause,
    'busy, longest turn, on the processor': seen.busyProbed.longestTurn,
    'busy, fdatasync p99': seen.busyProbed.syncP99,
    'busy, seconds': seen.busySeconds,
    'compacted, MiB': seen.compactedBytes / 2 ** 20,
    checkpoints: seen.checkpoints,
    expired: seen.expired,
    purged: seen.purged,
  }
}

function named(when: string, figures: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(figures).map(([name, value]) => [`${when}, ${name}`, value]))
}

function round(bytes: number): string {
  return String(Number((bytes / 2 ** 30).toPrecision(2)))
}
