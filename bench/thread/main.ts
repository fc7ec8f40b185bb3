/** What a broker takes from the program that it is embedded in: npm run bench:thread. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Program } from '../programs.ts'
import { inRounds } from '../rounds.ts'
import type { Row, Unit } from '../rows.ts'
import { describeMachine, quantile } from '../statistics.ts'
import type { ThreadOrder, ThreadSeen } from './program.ts'

const usage = `npm run bench:thread -- [--rounds N] [--seconds S] [--only TEXT] [--directory DIR] [--json FILE]

A broker embedded in the thread of its user, and in a thread of its own (thread: 'worker'), with 1, 4 and 8 threads of libuv
(UV_THREADPOOL_SIZE): what goes through, and what is taken from the user's thread and from the pool. Messages of 100 B on disk.
All rows take turns, --rounds times (3); each has two loads of --seconds (2) a round.
--only TEXT      rows whose name contains TEXT
--directory DIR  on the disk to be measured (the system's temporary directory)
--json FILE      writes the figures of every round as JSON`

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '2' },
    only: { type: 'string', default: '' },
    directory: { type: 'string', default: tmpdir() },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

const units: Readonly<Record<string, Unit>> = {
  "user's thread": 'µs/msg',
  'whole process': 'µs/msg',
  "at 10 k/s, user's thread": 'µs/msg',
  'at 10 k/s, whole process': 'µs/msg',
  "at 10 k/s, longest pause of the user's thread": 'ms',
  "at 10 k/s, longest turn of the user's thread": 'ms',
  'at 10 k/s, threads of the pool in use': '',
  "at 10 k/s, somebody else's stat, p50": 'ms',
  "at 10 k/s, somebody else's stat, p99": 'ms',
}

function rows(directory: string): Row[] {
  return (['main', 'worker'] as const).flatMap((thread) =>
    [1, 4, 8].map((poolSize) => ({
      name: `${thread === 'main' ? "in the user's thread" : 'in a worker'}, pool of ${poolSize}`,
      unit: 'msg/s' as const,
      units,
      measure: () => measure(directory, thread, poolSize),
    })),
  )
}

async function measure(
  parent: string,
  thread: ThreadOrder['thread'],
  poolSize: number,
): Promise<Record<string, number>> {
  const directory = mkdtempSync(join(parent, 'data-'))
  await using program = new Program(new URL('./program.ts', import.meta.url), { probed: true, poolSize })
  const order: ThreadOrder = { directory, thread, seconds: Number(values.seconds) }
  const { rate, messages, full, pacedMessages, paced, stats } = await program.ask<ThreadSeen>(order)
  const each = (milliseconds: number, count: number): number => (milliseconds * 1_000) / count
  return {
    '': rate,
    "user's thread": each(full.mainThread, messages),
    'whole process': each(full.processor, messages),
    "at 10 k/s, user's thread": each(paced.mainThread, pacedMessages),
    'at 10 k/s, whole process': each(paced.processor, pacedMessages),
    "at 10 k/s, longest pause of the user's thread": paced.longestPause,
    "at 10 k/s, longest turn of the user's thread": paced.longestTurn,
    'at 10 k/s, threads of the pool in use': paced.poolTime / paced.elapsed,
    "at 10 k/s, somebody else's stat, p50": quantile(stats, 0.5),
    "at 10 k/s, somebody else's stat, p99": quantile(stats, 0.99),
  }
}

async function main(): Promise<void> {
  if (values.help) {
    console.log(usage)
    return
  }
  const directory = mkdtempSync(join(values.directory, 'millrace-thread-'))
  try {
    const chosen = rows(directory).filter(({ name }) => name.includes(values.only))
    const figures = await inRounds(chosen, Number(values.rounds))
    console.log(describeMachine())
    figures.print()
    if (values.json) writeFileSync(values.json, `${JSON.stringify(figures.report(), null, 2)}\n`)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

await main()
