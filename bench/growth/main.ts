/** What grows with what: npm run bench:growth. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Curve, curveTable, medianCurve, pictures } from '../curves.ts'
import { describeMachine } from '../statistics.ts'
import { curves } from './curves.ts'

const usage = `npm run bench:growth -- [--only NAME] [--rounds N] [--seconds S] [--queues N] [--connections N] [--subscribers N]
                        [--depth N] [--directory DIR] [--json FILE] [--pictures DIR]

What a message costs the more queues (up to 100,000), connections (10,000) or subscribers (1,000) there are, the deeper a queue
is (1,000,000) and the larger bodies are, and what queues and connections cost that are idle. Every point is measured in fresh
processes, warmed up before anything counts.
--only NAME      one of ${Object.keys(curves).join(', ')}
--queues N, --connections N, --subscribers N, --depth N
                 where a curve ends
--rounds N       how often each curve is measured, all taking turns (1); what counts is the median of each point
--seconds S      of a load that goes on for a time (2)
--directory DIR  on the disk to be measured (the system's temporary directory)
--json FILE      writes the curves as JSON
--pictures DIR   writes them as SVG`

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    rounds: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '2' },
    queues: { type: 'string', default: '100000' },
    connections: { type: 'string', default: '10000' },
    subscribers: { type: 'string', default: '1000' },
    depth: { type: 'string', default: '1000000' },
    directory: { type: 'string', default: tmpdir() },
    json: { type: 'string' },
    pictures: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

async function main(): Promise<void> {
  if (values.help) {
    console.log(usage)
    return
  }
  const directory = mkdtempSync(join(values.directory, 'millrace-growth-'))
  const scale = {
    directory,
    seconds: Number(values.seconds),
    most: {
      queues: Number(values.queues),
      connections: Number(values.connections),
      subscribers: Number(values.subscribers),
      depth: Number(values.depth),
    },
  }
  const measured = new Map<string, [Curve, ...Curve[]]>()
  console.log(describeMachine())
  try {
    for (let round = 0; round < Number(values.rounds); round++) {
      for (const [name, measure] of Object.entries(curves)) {
        if (!name.includes(values.only)) continue
        const curve = await measure(scale)
        measured.set(name, [...(measured.get(name) ?? []), curve] as [Curve, ...Curve[]])
        console.log(`\n${curveTable(curve)}`)
      }
    }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
  report([...measured.values()].map(medianCurve))
}

function report(measured: readonly Curve[]): void {
  const rounds = Number(values.rounds)
  if (rounds > 1) {
    console.log(`\nMedians of ${rounds} rounds`)
    for (const curve of measured) console.log(`\n${curveTable(curve)}`)
  }
  if (values.json) {
    writeFileSync(
      values.json,
      `${JSON.stringify({ machine: describeMachine(), rounds, curves: measured }, null, 2)}\n`,
    )
  }
  if (values.pictures) draw(values.pictures, measured)
}

function draw(folder: string, measured: readonly Curve[]): void {
  mkdirSync(folder, { recursive: true })
  for (const curve of measured) {
    for (const [name, svg] of pictures(curve)) writeFileSync(join(folder, `${name}.svg`), svg)
  }
}

await main()
