/**
 * Kills a process with a broker again and again, on the real disk, and holds what its successors find against what was
 * confirmed: npm run test:kill [-- --rounds N --seed N]. SEED=N is the same as --seed N.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { SeededRandom } from '../../src/testing/random.ts'
import { Ledger } from './ledger.ts'
import type { Assignment } from './protocol.ts'
import { TokenLedger } from './tokens.ts'
import { type Ending, Victim } from './victim.ts'

const { values } = parseArgs({ options: { rounds: { type: 'string' }, seed: { type: 'string' } } })
const rounds = wholeNumber('--rounds', values.rounds ?? '50')
const seed = wholeNumber('--seed', values.seed ?? process.env['SEED'] ?? `${Date.now() % 1_000_000}`)
const random = new SeededRandom(seed)
const folder = mkdtempSync(join(tmpdir(), 'millrace-kill-'))
const ledger = new Ledger(seed)
const tokens = new TokenLedger()
/** All that was said, with the round, for the story of a message that went wrong. */
const said: string[] = []
const endings: Record<Ending['when'], number> = { starting: 0, working: 0, closing: 0, closed: 0 }

function wholeNumber(what: string, text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw new Error(`${what} is a whole number, not ${text}`)
}

/** Runs a child until it is killed or has closed. */
async function run(round: number, mode: Assignment['mode']): Promise<void> {
  ledger.begin()
  tokens.begin()
  const closes = mode === 'work' && random.chance(0.15)
  const assignment: Assignment = {
    directory: join(folder, 'data'),
    seed,
    round,
    mode,
    closeAfter: closes ? random.between(1, 600) : 0,
    producers: ledger.producers(),
  }
  const victim = new Victim(assignment, (line) => {
    said.push(`${round}: ${line}`)
    if (!tokens.read(line)) ledger.read(line)
  })
  // Some that close may do so in peace.
  if (mode === 'work' && !(closes && random.chance(0.3))) victim.doom(random, closes)
  const { when, problem } = await victim.ended
  ledger.end()
  if (mode === 'work') endings[when]++
  else if (when !== 'closed') ledger.violations.push(`the child of mode ${mode} did not close`)
  ledger.violations.push(...tokens.violations.splice(0))
  if (problem) ledger.violations.push(problem)
}

/** What was said about the message that a violation names. */
function tellStory(violation: string): void {
  const [, producer, sequence] = /\b(\w+)\/(\d+)\b/.exec(violation) ?? []
  if (producer === undefined) return
  const mention = new RegExp(`\\b${producer} ${sequence}\\b`)
  console.log(`The story of ${producer}/${sequence}, by round:`)
  for (const line of said) if (mention.test(line)) console.log(`  ${line}`)
}

function print(): void {
  const { counts } = ledger
  const { starting, working, closing, closed } = endings
  const kills = starting + working + closing
  console.log(`${kills} kills: ${starting} while starting, ${working} at work, ${closing} while closing;`)
  console.log(`${closed} rounds closed before they were killed; ${counts.starts} complete starts`)
  console.log(`sent ${counts.sent}, confirmed ${counts.confirmed}, refused ${counts.refused} (full queues)`)
  console.log(
    `in doubt: ${counts.doubtfulSends} sends, of which ${counts.resent} were sent again, and ${counts.doubtfulSettlements} settlements`,
  )
  console.log(`delivered ${counts.delivered}, accepted ${counts.accepted}`)
  console.log(`tokens carried by transactions ${tokens.commits}`)
  console.log(`failed ${counts.failed}, rejected ${counts.rejected}`)
  console.log(`duplicates=${counts.doubled} lost=${counts.lost} violations=${ledger.violations.length}`)
}

console.log(`kill -9: ${rounds} rounds, seed ${seed}`)
const begun = performance.now()
try {
  let round = 0
  while (round < rounds && ledger.violations.length === 0) await run(++round, 'work')
  if (ledger.violations.length === 0) await run(++round, 'drain')
  if (ledger.violations.length === 0) await run(++round, 'look')
  if (ledger.violations.length === 0) ledger.finish()
  print()
  if (ledger.violations.length > 0) {
    console.log(`\nFAILED in round ${round}:`)
    for (const violation of ledger.violations.slice(0, 20)) console.log(`  ${violation}`)
    tellStory(ledger.violations[0]!)
    console.log(`Again: npm run test:kill -- --seed ${seed} --rounds ${rounds}`)
    process.exitCode = 1
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
  console.log(`${((performance.now() - begun) / 1000).toFixed(1)} s`)
}
