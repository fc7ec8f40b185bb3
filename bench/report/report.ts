import { pictures as curvePictures } from '../curves.ts'
import { type Bar, barChart } from './bars.ts'
import type { BacklogFile, CurvesFile, FiguresFile } from './figures-file.ts'
import { backlogTable, brokersTables, curveMarkdown, rowsTable } from './tables.ts'

export interface Section {
  /** What stands between the markers. */
  readonly text: string
  /** Pictures, by the names of their files. */
  readonly pictures: ReadonlyMap<string, string>
}

const charts = [
  { file: 'throughput', title: 'Messages a second, more is better', part: '' },
  { file: 'broker-cpu', title: 'Broker CPU, µs a message, less is better', part: 'broker CPU' },
  {
    file: 'latency-1k',
    title: 'End to end at 1 k/s, p99 in ms, less is better',
    part: 'end to end at 1 k/s, p99',
  },
  {
    file: 'latency-10k',
    title: 'End to end at 10 k/s, p99 in ms, less is better',
    part: 'end to end at 10 k/s, p99',
  },
  { file: 'memory', title: 'Broker, resident MiB, less is better', part: 'broker resident' },
] as const

/** The tables of a file with figures, and pictures of brokers beside each other and of curves, which are linked to in a folder. */
export function sectionOf(
  name: string,
  file: FiguresFile | BacklogFile | CurvesFile,
  folder: string,
): Section {
  if ('curves' in file) return curvesSection(name, file, folder)
  if ('figures' in file) return { text: backlogTable(file), pictures: new Map() }
  if (file.brokers === undefined) return { text: rowsTable(file), pictures: new Map() }
  return brokersSection(name, file, folder)
}

function curvesSection(name: string, { machine, rounds = 1, curves }: CurvesFile, folder: string): Section {
  const pictures = new Map<string, string>()
  const texts = curves.map((curve) => {
    const drawn = [...curvePictures(curve)].map(([picture, svg]) => {
      pictures.set(`${name}-${picture}.svg`, svg)
      return `![${curve.title}](${folder}/${name}-${picture}.svg)`
    })
    return [curveMarkdown(curve), ...drawn].join('\n\n')
  })
  return {
    text: [`${machine}${rounds > 1 ? `, medians of ${rounds} rounds` : ''}.`, ...texts].join('\n\n'),
    pictures,
  }
}

function brokersSection(name: string, file: FiguresFile, folder: string): Section {
  const ours = file.brokers![0]?.name
  const pictures = new Map<string, string>()
  const links: string[] = []
  for (const { file: chart, title, part } of charts) {
    const bars: Bar[] = file.rows
      .filter((row) => row.part === part)
      .map(({ name: broker, median, min, max }) => ({
        name: broker,
        median,
        min,
        max,
        ours: broker === ours,
      }))
    if (bars.length === 0) continue
    pictures.set(`${name}-${chart}.svg`, barChart(title, bars))
    links.push(`![${title}](${folder}/${name}-${chart}.svg)`)
  }
  return { text: [brokersTables(file), ...links].join('\n\n'), pictures }
}

/** The page with what stands between the markers of a section replaced. Throws when it has none. */
export function replaceSection(page: string, name: string, text: string): string {
  const [begin, end] = [`<!-- figures: ${name} -->`, `<!-- end of figures: ${name} -->`]
  const [from, to] = [page.indexOf(begin), page.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`the page has no '${begin}' with '${end}' after it`)
  return `${page.slice(0, from + begin.length)}\n${text}\n${page.slice(to)}`
}
