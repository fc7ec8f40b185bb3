import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Scenario, Stage } from './support/scenario.ts'
import { Screen, silent } from './support/view.ts'

const scenarios: Readonly<Record<string, () => Promise<{ readonly scenario: Scenario }>>> = {
  import: () => import('./import/main.ts'),
  registration: () => import('./registration/main.ts'),
  orders: () => import('./orders/main.ts'),
  'flash-sale': () => import('./flash-sale/main.ts'),
  chat: () => import('./chat/main.ts'),
}

const usage = `npm run demo [-- NAME] [--scale SHARE] [--svg FILE] [--json]

Runs a scenario with real processes, a broker and databases, and crashes on purpose: ${Object.keys(scenarios).join(', ')}
(default import). Each has a README.md in examples/NAME.
--scale SHARE   how large it is made (1)
--svg FILE      where flash-sale draws its course (millrace-flash-sale.svg in the folder for temporary files)
--json          nothing but one line at the end, with figures that are read from the databases
-h, --help      this text`

function parse() {
  return parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      scale: { type: 'string', default: '1' },
      svg: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
}

function refuse(why: string): void {
  console.error(`${why}\n\n${usage}`)
  process.exitCode = 2
}

async function main(): Promise<void> {
  let parsed: ReturnType<typeof parse>
  try {
    parsed = parse()
  } catch (error) {
    return refuse((error as Error).message)
  }
  const { values, positionals } = parsed
  if (values.help) return console.log(usage)
  const [name = 'import', ...others] = positionals
  const load = scenarios[name]
  const scale = Number(values.scale)
  if (!load || others.length > 0) return refuse(`there is no scenario ${positionals.join(' ')}`)
  if (!(scale > 0 && scale < Number.POSITIVE_INFINITY))
    return refuse(`--scale takes a number above 0, not ${values.scale}`)
  const { scenario } = await load()
  const view = values.json ? silent : new Screen(process.stdout)
  view.note(`Millrace: ${scenario.title}\n`)
  const folder = mkdtempSync(join(tmpdir(), `millrace-${name}-`))
  const ends: (() => unknown)[] = []
  const picture = values.svg ?? join(tmpdir(), `millrace-${name}.svg`)
  const stage: Stage = { folder, view, scale, picture, defer: (end) => void ends.push(end) }
  try {
    const { ok, figures, summary } = await scenario.run(stage)
    view.end()
    if (values.json) console.log(JSON.stringify({ scenario: name, ok, ...figures }))
    else console.log(`\n${summary.join('\n')}`)
    if (!ok) process.exitCode = 1
  } finally {
    for (const end of ends.reverse()) await end()
    rmSync(folder, { recursive: true, force: true })
  }
}

await main()
