/** How long a message takes, in quiet and in unrest: npm run bench:latency. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { milliseconds } from '../../src/index.ts'
import { inRounds } from '../rounds.ts'
import { describeMachine } from '../statistics.ts'
import { latencyRows } from './rows.ts'
import { soak } from './soak.ts'
import { upkeepRow } from './upkeep-row.ts'

const usage = `npm run bench:latency -- [--rounds N] [--seconds S] [--gib N] [--only TEXT] [--directory DIR] [--json FILE]
npm run bench:latency -- --soak 30m [--rate N] [--directory DIR] [--json FILE]

How long a message of 100 B on disk takes: at fixed rates, one in flight, from a lonely sender and from a thousand, embedded and
over AMQP with and without TLS, with a slower disk, and while the journal compacts. Broker and client are processes of their
own, warmed up before anything counts. All rows take turns, --rounds times (3); each counts --seconds (2) a round.
--gib N          fills the journal with so much before it is compacted (0.5)
--soak TIME      one served broker for so long, at --rate messages a second (10,000): a line a minute, and whether its memory grew
--only TEXT      rows whose name contains TEXT
--directory DIR  on the disk to be measured (the system's temporary directory)
--json FILE      writes the figures of every round as JSON`

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '2' },
    gib: { type: 'string', default: '0.5' },
    soak: { type: 'string' },
    rate: { type: 'string', default: '10000' },
    only: { type: 'string', default: '' },
    directory: { type: 'string', default: tmpdir() },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

async function measureRows(directory: string): Promise<object> {
  const scale = { seconds: Number(values.seconds), directory }
  const rows = [...latencyRows(scale), upkeepRow(scale, Number(values.gib) * 2 ** 30)].filter(({ name }) =>
    name.includes(values.only),
  )
  const figures = await inRounds(rows, Number(values.rounds))
  figures.print()
  return figures.report()
}

async function main(): Promise<void> {
  if (values.help) {
    console.log(usage)
    return
  }
  const directory = mkdtempSync(join(values.directory, 'millrace-latency-'))
  console.log(describeMachine())
  try {
    const report = values.soak
      ? await soak(directory, Number(values.rate), milliseconds(values.soak))
      : await measureRows(directory)
    if (values.json) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

await main()
