import { findCircles } from './house/graph.ts'
import { readSources } from './house/repository.ts'
import { quantile } from './house/sizes.ts'
import type { Source } from './house/source.ts'

// Sizes of files and of named functions, per room and in total: `npm run sizes`.

interface Row {
  readonly files: number
  readonly lines: number
  readonly 'file median': number
  readonly 'file p90': number
  readonly 'file max': number
  readonly functions: number
  readonly 'function median': number
  readonly 'function p90': number
  readonly 'function max': number
}

function measure(sources: readonly Source[]): Row {
  const files = sources.map(({ lines }) => lines)
  const functions = sources.flatMap((source) => source.functions.filter(({ name }) => name !== ''))
  const spans = functions.map(({ lines }) => lines)
  return {
    files: files.length,
    lines: files.reduce((sum, lines) => sum + lines, 0),
    'file median': quantile(files, 0.5),
    'file p90': quantile(files, 0.9),
    'file max': quantile(files, 1),
    functions: spans.length,
    'function median': quantile(spans, 0.5),
    'function p90': quantile(spans, 0.9),
    'function max': quantile(spans, 1),
  }
}

/** The room for src/, the first folder elsewhere. */
function groupOf(path: string): string {
  const [folder, room] = path.split('/')
  return folder === 'src' ? `src/${room}` : folder!
}

const sources = readSources()
const rows: Record<string, Row> = {}
for (const [group, members] of Map.groupBy(sources, ({ path }) => groupOf(path)))
  rows[group] = measure(members)
rows['src (all)'] = measure(sources.filter(({ path }) => path.startsWith('src/')))
rows['everything'] = measure(sources)
console.table(rows)

const circles = findCircles(sources, { types: true })
console.log(`circles of type imports (allowed, they are erased): ${circles.length}`)
for (const circle of circles) console.log(`  ${[...circle, circle[0]].join(' → ')}`)
