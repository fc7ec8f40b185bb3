/**
 * Other people's clients against `millrace serve`: npm run test:strangers [-- --only rhea,proton,go,jms] [CHECK…].
 * What a program is told and what it has to say is in run.ts.
 */
import { parseArgs } from 'node:util'
import { programs } from './programs.ts'
import { table } from './results.ts'
import { Run } from './run.ts'

const { values, positionals } = parseArgs({
  options: { only: { type: 'string' } },
  allowPositionals: true,
})
const asked = values.only?.split(',') ?? Object.keys(programs)
const unknown = asked.find((name) => !Object.hasOwn(programs, name))
if (unknown !== undefined)
  throw new Error(`--only takes some of ${Object.keys(programs).join(',')}, not ${unknown}`)

const run = await Run.start(console.log)
for (const name of asked) await run.program(name, programs[name]!, positionals)
await run.stop()
console.log(`\n${table(run.results)}`)
process.exit(run.results.length > 0 && run.failures.length === 0 ? 0 : 1)
