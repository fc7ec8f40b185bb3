import { writeFileSync } from 'node:fs'
import { simulate } from '../../src/testing/index.ts'
import { planted } from './planted.ts'

/** Of so many seeds that show a bug the quickest is taken. */
const CHOICE = 4
const file = new URL('./known-seeds.json', import.meta.url)

/**
 * Looks for the seed that brings each planted bug to light soonest, among the first that do, and writes known-seeds.json; `tell`
 * hears of each.
 */
export async function findKnown(seeds: number, tell: (line: string) => void): Promise<void> {
  const known: Record<string, number> = {}
  for (const name of Object.keys(planted)) {
    const best = await find(name, seeds)
    if (best !== undefined) known[name] = best.seed
    tell(`${name}: ${best === undefined ? 'not found' : `seed ${best.seed}, ${best.events} events`}`)
  }
  writeFileSync(file, `${JSON.stringify(known, null, 2)}\n`)
}

interface Finding {
  readonly seed: number
  /** What goes by in the simulation is the same on every machine. */
  readonly events: number
}

async function find(name: string, seeds: number): Promise<Finding | undefined> {
  const found: Finding[] = []
  for (let seed = 1; seed <= seeds && found.length < CHOICE; seed++) {
    const { failure, report } = await simulate({ seed, tampering: planted[name]! })
    if (failure !== undefined) found.push({ seed, events: report.counts.events })
  }
  return found.toSorted((a, b) => a.events - b.events)[0]
}
