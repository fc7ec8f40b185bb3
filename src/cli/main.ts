#!/usr/bin/env node
import { runCommandLine } from './run.ts'
import { Interrupted } from './usage-error.ts'

const stop = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  // Once: a second signal ends the process at once.
  process.once(name, () => stop.abort(new Interrupted('stopped')))
}
// Everything has been written and closed by then; input that nobody reads any more shall not keep the process.
process.exit(await runCommandLine(process.argv.slice(2), stop.signal))
