/** The broker beside other brokers, each with its messages on disk: npm run bench:peers. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { fetchArtemis } from '../../test/client-amqp/artemis/broker.ts'
import { Figures } from '../figures.ts'
import { describeMachine } from '../statistics.ts'
import { Contestant } from './contestant.ts'
import { requireJava } from './maven.ts'
import { Missing, type Peer } from './peer.ts'
import { peers } from './peers.ts'

const usage = `npm run bench:peers -- [--rounds N] [--seconds S] [--only TEXT,…] [--no-perf] [--directory DIR] [--json FILE]

Starts other brokers beside this one, each with what it does to keep messages on disk, and puts the same load on all of them
in turns: messages of 100 B through a queue, each confirmed to its sender and acknowledged by its consumer. What is not here
is said, with what to install. Figures are medians of --rounds (7) with [lowest, highest]; --seconds (0.6) is for each load.
--only TEXT,…    brokers whose name contains one of these; ours is always there
--no-perf        leaves out artemis perf client, the load generator that is not ours
--directory DIR  on the disk to be measured (the system's temporary directory)
--json FILE      writes the figures of every round as JSON

Brokers: ${peers.map(({ name }) => name).join(' · ')}`

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    seconds: { type: 'string', default: '0.6' },
    only: { type: 'string', default: '' },
    'no-perf': { type: 'boolean', default: false },
    directory: { type: 'string', default: tmpdir() },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

/** Seconds of load before the first round, when most of a broker has not been compiled yet, and before each later one. */
const COLD = 10
const WARM = 0.3

/** A broker that is not here, or that failed. */
interface Left {
  readonly name: string
  readonly why: string
}

class Comparison {
  private readonly figures: Figures = new Figures()
  private readonly left: Left[] = []
  /** In how many rounds a rate was not held. */
  private readonly lost: Map<string, number> = new Map()
  private readonly contestants: Contestant[] = []
  private readonly directory: string
  private artemis: string | undefined

  constructor(directory: string) {
    this.directory = directory
  }

  async start(all: readonly Peer[], perf: boolean): Promise<void> {
    for (const peer of all) {
      process.stderr.write(`starting ${peer.name}\n`)
      try {
        this.contestants.push(await Contestant.start(peer, this.directory))
      } catch (error) {
        this.leave(peer.name, error)
      }
    }
    if (!perf) return
    try {
      requireJava()
      this.artemis = await fetchArtemis(this.directory)
    } catch (error) {
      this.leave('artemis perf client', error)
    }
  }

  /** Everybody once; what one has left unwritten is written before the next one begins. */
  async round(index: number, seconds: number): Promise<void> {
    const first = index % this.contestants.length
    const turn = { seconds, warmUp: index === 0 ? COLD : WARM }
    for (const contestant of [...this.contestants.slice(first), ...this.contestants.slice(0, first)]) {
      const { name } = contestant.row
      if (this.left.some((each) => each.name === name)) continue
      execFileSync('sync')
      try {
        const measured = await contestant.turn(turn, (load) => this.lose(`${name}, ${load}`))
        this.figures.note(contestant.row, measured)
      } catch (error) {
        this.leave(name, error)
        continue
      }
      await this.perf(contestant)
    }
  }

  private async perf(contestant: Contestant): Promise<void> {
    if (this.artemis === undefined) return
    try {
      this.figures.note(contestant.row, await contestant.perf(this.artemis))
    } catch (error) {
      this.left.push({
        name: `${contestant.row.name}, artemis perf client`,
        why: `failed: ${messageOf(error)}`,
      })
    }
  }

  print(): void {
    console.log(describeMachine())
    for (const { peer, version } of this.contestants)
      console.log(`${peer.name} ${version}, driven by ${peer.client}: ${peer.durability}`)
    console.log()
    this.figures.print()
    if (this.lost.size + this.left.length > 0) console.log()
    for (const [load, rounds] of this.lost) console.log(`${load}: not held in ${rounds} rounds`)
    for (const { peer, duplicates } of this.contestants)
      if (duplicates > 0) console.log(`${peer.name}: ${duplicates} messages came more than once`)
    for (const { name, why } of this.left) console.log(`${name}: ${why}`)
  }

  report(): unknown {
    const brokers = this.contestants.map(({ peer: { name, durability, client }, version, duplicates }) => ({
      name,
      version,
      durability,
      client,
      duplicates,
    }))
    return { ...this.figures.report(), brokers, left: this.left, lost: Object.fromEntries(this.lost) }
  }

  async stop(): Promise<void> {
    for (const contestant of this.contestants) await contestant[Symbol.asyncDispose]()
  }

  private lose(load: string): void {
    this.lost.set(load, (this.lost.get(load) ?? 0) + 1)
  }

  private leave(name: string, error: unknown): void {
    const why = messageOf(error)
    this.left.push({ name, why: `${error instanceof Missing ? 'not here' : 'failed'}: ${why}` })
    process.stderr.write(`${name}: ${why}\n`)
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

async function main(): Promise<void> {
  if (values.help) {
    console.log(usage)
    return
  }
  const directory = mkdtempSync(join(values.directory, 'millrace-peers-'))
  const wanted = values.only.split(',')
  const comparison = new Comparison(directory)
  try {
    const all = peers.filter(({ name }, index) => index === 0 || wanted.some((text) => name.includes(text)))
    await comparison.start(all, !values['no-perf'])
    for (let round = 0; round < Number(values.rounds); round++) {
      process.stderr.write(`round ${round + 1} of ${values.rounds}\n`)
      await comparison.round(round, Number(values.seconds))
    }
  } finally {
    await comparison.stop()
    rmSync(directory, { recursive: true, force: true })
  }
  comparison.print()
  if (values.json) writeFileSync(values.json, `${JSON.stringify(comparison.report(), null, 2)}\n`)
}

process.on('SIGINT', () => process.exit(130)).on('SIGTERM', () => process.exit(143))
await main()
