import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { embeddedRows } from './embedded.ts'
import { groundRows } from './ground.ts'
import { networkRows } from './network.ts'
import type { Row, Unit } from './rows.ts'
import { round3, type Summary, summarize } from './statistics.ts'

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

type Figures = Map<string, { row: Row; part: string; values: number[] }>

async function main(): Promise<void> {
  if (values.help) {
    console.log(usage)
    return
  }
  const directory = mkdtempSync(join(values.directory, 'millrace-bench-'))
  const scale = { seconds: Number(values.seconds), directory }
  const rows = [...groundRows(scale), ...embeddedRows(scale), ...networkRows(scale)].filter(({ name }) =>
    name.includes(values.only),
  )
  const figures: Figures = new Map()
  try {
    for (let round = 0; round < Number(values.rounds); round++) {
      process.stderr.write(`round ${round + 1} of ${values.rounds}\r`)
      for (const row of rows) note(figures, row, await row.measure())
    }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
  print(figures)
  if (values.json) writeFileSync(values.json, `${JSON.stringify(report(figures), null, 2)}\n`)
}

function note(figures: Figures, row: Row, measured: Readonly<Record<string, number>>): void {
  for (const [part, value] of Object.entries(measured)) {
    const key = `${row.name} ${part}`
    const figure = figures.get(key) ?? { row, part, values: [] }
    figure.values.push(value)
    figures.set(key, figure)
  }
}

function print(figures: Figures): void {
  console.log(machine())
  const lines = [...figures.values()].map(({ row, part, values: measured }) => ({
    name: part === '' ? row.name : `${row.name}, ${part}`,
    figure: format(summarize(measured), unitOf(row, part)),
  }))
  const width = Math.max(...lines.map(({ name }) => name.length))
  for (const { name, figure } of lines) console.log(`${name.padEnd(width)}  ${figure}`)
}

function unitOf({ unit, units }: Row, part: string): Unit {
  return units?.[part] ?? unit
}

function format({ median, min, max }: Summary, unit: Unit): string {
  const show = (value: number): string =>
    unit === 'msg/s' ? Math.round(round3(value)).toLocaleString('en') : String(round3(value))
  return `${show(median).padStart(12)} ${unit}  [${show(min)}, ${show(max)}]`
}

function machine(): string {
  return `Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}`
}

function report(figures: Figures): unknown {
  return {
    machine: machine(),
    rows: [...figures.values()].map(({ row, part, values: measured }) => ({
      name: row.name,
      part,
      unit: unitOf(row, part),
      ...summarize(measured),
      values: measured,
    })),
  }
}

await main()
