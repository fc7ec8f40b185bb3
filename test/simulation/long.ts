import { parseArgs } from 'node:util'
import { findKnown } from './find-known.ts'
import { describe, sweep } from './seeds.ts'

const usage = `npm run test:simulation -- [--seeds N] [--first N] [--known]

Simulates broker, journal, disk and clock from seeds: 120 from 1 on, or with SEED=N in the environment that one alone.
With --known it looks among so many seeds for those at which the tests find planted bugs soonest, and writes known-seeds.json.`

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '120' },
    first: { type: 'string', default: '1' },
    known: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

async function main(): Promise<number> {
  if (values.help) {
    console.log(usage)
    return 0
  }
  if (values.known) {
    await findKnown(Number(values.seeds), console.log)
    return 0
  }
  const replayed = process.env['SEED']
  const [first, count] =
    replayed === undefined ? [Number(values.first), Number(values.seeds)] : [Number(replayed), 1]
  const { report, failures } = await sweep(first, count, (done) => {
    if (done % 100 === 0) console.log(`${done} of ${count} seeds`)
  })
  for (const failure of failures) console.log(describe(failure))
  console.log(report.toString())
  console.log(`${count - failures.length} passed, ${failures.length} failed`)
  return failures.length === 0 ? 0 : 1
}

process.exitCode = await main()
