import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { embeddedRows } from './embedded.ts'
import { Figures } from './figures.ts'
import { groundRows } from './ground.ts'
import { localQueueRows } from './local-queues.ts'
import { networkRows } from './network.ts'
import { Missing } from './peers/peer.ts'
import { describeMachine } from './statistics.ts'

const usage = `npm run bench -- [--rounds N] [--seconds S] [--only TEXT] [--directory DIR] [--json FILE]

Measures the broker, embedded and over TCP, beside the ground it stands on. All rows take turns, --rounds times (7);
each takes about --seconds (0.5) a round. Figures are medians with [lowest, highest].
--only TEXT      rows whose name contains TEXT
--directory DIR  on the disk to be measured (the system's temporary directory)
--json FILE      writes the figures of every round as JSON`

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    seconds: { type: 'string', default: '0.5' },
    only: { type: 'string', default: '' },
    directory: { type: 'string', default: tmpdir() },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

async function main(): Promise<void> {
  if (values.help) {
    console.log(usage)
    return
  }
  const directory = mkdtempSync(join(values.directory, 'millrace-bench-'))
  const scale = { seconds: Number(values.seconds), directory }
  const rows = [
    ...groundRows(scale),
    ...embeddedRows(scale),
    ...localQueueRows(scale),
    ...networkRows(scale),
  ].filter(({ name }) => name.includes(values.only))
  const figures = new Figures()
  try {
    for (let round = 0; round < Number(values.rounds); round++) {
      process.stderr.write(`round ${round + 1} of ${values.rounds}\r`)
      for (const row of [...rows]) {
        try {
          figures.note(row, await row.measure())
        } catch (error) {
          if (!(error instanceof Missing)) throw error
          console.error(`${row.name}: left out; it needs ${error.message}`)
          rows.splice(rows.indexOf(row), 1)
        }
      }
    }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
  console.log(describeMachine())
  figures.print()
  if (values.json) writeFileSync(values.json, `${JSON.stringify(figures.report(), null, 2)}\n`)
}

await main()
