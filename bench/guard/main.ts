/** Whether something has become far slower than it was: npm run bench:guard. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Figures } from '../figures.ts'
import { inRounds } from '../rounds.ts'
import { describeMachine, round3 } from '../statistics.ts'
import { cost, type Guarded, guarded, guardedRows } from './guarded.ts'

/** Times the baseline: beyond, it is worth a look; beyond, it is absurd. Machines differ, and others work on them too. */
const BAND = { notable: 3, absurd: 6 }
const ROUNDS = 3
/** For what was notable, which may have been a bad moment. */
const MORE_ROUNDS = 2
const SECONDS = 0.3

const baselineFile = fileURLToPath(new URL('./baseline.json', import.meta.url))

const usage = `npm run bench:guard -- [--directory DIR] [--json FILE] [--strict] [--update]

What the broker costs as a multiple of the ground of this machine, measured in the same run, beside the multiples in
bench/guard/baseline.json. The best of ${ROUNDS} rounds counts; what is then more than ${BAND.notable} times its baseline is measured
${MORE_ROUNDS} times more. Above ${BAND.notable} times it warns, above ${BAND.absurd} times loudly.
--directory DIR  on the disk to be measured (the system's temporary directory)
--json FILE      writes the multiples as JSON
--strict         fails above ${BAND.absurd} times; a machine of another kind may be that far off without a fault of anybody
--update         writes them into the baseline`

const { values } = parseArgs({
  options: {
    directory: { type: 'string', default: tmpdir() },
    json: { type: 'string' },
    strict: { type: 'boolean', default: false },
    update: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

interface Finding {
  readonly guarded: Guarded
  readonly cost: number
  /** To the baseline; undefined: there is none. */
  readonly factor: number | undefined
}

async function measure(directory: string, chosen: readonly Guarded[], rounds: number): Promise<number[]> {
  const figures = await inRounds(guardedRows({ seconds: SECONDS, directory }, chosen), rounds)
  return chosen.map((one) => best(one, figures, rounds))
}

/** A round is compared with the ground of its own minute. */
function best(one: Guarded, figures: Figures, rounds: number): number {
  const costs = Array.from({ length: rounds }, (_, round) =>
    cost(one, (row, part) => figures.values({ name: row }, part)[round] ?? Number.NaN),
  )
  return Math.min(...costs)
}

async function findings(directory: string, baseline: ReadonlyMap<string, number>): Promise<Finding[]> {
  const find = (one: Guarded, multiple: number): Finding => {
    const before = baseline.get(one.name)
    return { guarded: one, cost: multiple, factor: before === undefined ? undefined : multiple / before }
  }
  const costs = await measure(directory, guarded, ROUNDS)
  const found = guarded.map((one, i) => find(one, costs[i]!))
  const notable = found.filter(({ factor }) => factor !== undefined && factor > BAND.notable)
  if (notable.length === 0) return found
  const names = notable.map((one) => one.guarded)
  const again = await measure(directory, names, MORE_ROUNDS)
  return found.map((one) => {
    const at = names.indexOf(one.guarded)
    return at < 0 ? one : find(one.guarded, Math.min(one.cost, again[at]!))
  })
}

function print(found: readonly Finding[]): void {
  const width = Math.max(...found.map((one) => one.guarded.name.length))
  for (const one of found) {
    const times = one.factor === undefined ? 'no baseline' : `${round3(one.factor)} × the baseline`
    console.log(
      `${one.guarded.name.padEnd(width)}  ${String(round3(one.cost)).padStart(8)} × the ground  ${times}`,
    )
  }
  for (const { guarded: one, factor } of found) {
    if (factor === undefined || factor <= BAND.notable) continue
    const verdict = factor > BAND.absurd ? 'ABSURD' : 'WARNING'
    console.log(`${verdict}: ${one.name} costs ${round3(factor)} times what the baseline says`)
  }
}

function readBaseline(): Map<string, number> {
  const { multiples } = JSON.parse(readFileSync(baselineFile, 'utf8')) as {
    multiples: Record<string, number>
  }
  return new Map(Object.entries(multiples))
}

async function main(): Promise<void> {
  if (values.help) {
    console.log(usage)
    return
  }
  const directory = mkdtempSync(join(values.directory, 'millrace-guard-'))
  try {
    const found = await findings(directory, values.update ? new Map() : readBaseline())
    console.log(describeMachine())
    print(found)
    const multiples = Object.fromEntries(found.map((one) => [one.guarded.name, round3(one.cost)]))
    const report = `${JSON.stringify({ machine: describeMachine(), multiples }, null, 2)}\n`
    if (values.json) writeFileSync(values.json, report)
    if (values.update) writeFileSync(baselineFile, report)
    if (values.strict && found.some(({ factor }) => factor !== undefined && factor > BAND.absurd))
      process.exitCode = 1
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

await main()
