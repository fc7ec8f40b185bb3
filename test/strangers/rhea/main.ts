/** rhea against a broker: node test/strangers/rhea/main.ts [CHECK…]; the environment is described in ../main.ts. */
import { runChecks } from './checks.ts'
import { connections } from './connections.ts'
import { destinations } from './destinations.ts'
import { contents } from './messages.ts'
import { selectors } from './selectors.ts'
import { settlement } from './settlement.ts'
import { transactions } from './transactions.ts'

const passed = await runChecks(
  { ...settlement, ...transactions, ...destinations, ...selectors, ...contents, ...connections },
  process.argv.slice(2),
)
process.exit(passed ? 0 : 1)
