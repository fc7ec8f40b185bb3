/** Puts measured figures into docs/benchmarks.md: npm run bench:report -- SECTION=FILE… */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { BacklogFile, CurvesFile, FiguresFile } from './figures-file.ts'
import { goalsTable, type Measured } from './goals.ts'
import { replaceSection, sectionOf } from './report.ts'

const usage = `npm run bench:report -- SECTION=FILE…

Replaces what stands in docs/benchmarks.md between the markers of a section (bench, peers, latency, growth, backlog, thread) by
the tables of what a benchmark has written with --json, and draws pictures of brokers beside each other and of curves into
docs/benchmarks. FILE,FILE… are the parts of one benchmark. Given bench, peers, backlog and growth together, it also writes the table of what the design asks for.`

const page = fileURLToPath(new URL('../../docs/benchmarks.md', import.meta.url))
const FOLDER = 'benchmarks'

function main(args: readonly string[]): void {
  const sections = args.map((arg) => /^([a-z-]+)=(.+)$/.exec(arg))
  if (sections.length === 0 || sections.includes(null)) {
    console.log(usage)
    process.exitCode = args.includes('--help') ? 0 : 1
    return
  }
  const files: Partial<Measured> & Record<string, unknown> = {}
  for (const [, name, path] of sections as RegExpExecArray[]) {
    const file = together(path!.split(',').map(read))
    files[name!] = file
    const { text, pictures } = sectionOf(name!, file, FOLDER)
    replace(name!, text)
    const folder = new URL(`../../docs/${FOLDER}/`, import.meta.url)
    if (pictures.size > 0) mkdirSync(folder, { recursive: true })
    for (const [picture, svg] of pictures) writeFileSync(new URL(picture, folder), svg)
  }
  const { bench, peers, backlog, growth } = files
  if (bench && peers && backlog && growth) replace('goals', goalsTable({ bench, peers, backlog, growth }))
}

type File = FiguresFile | BacklogFile | CurvesFile

function read(path: string): File {
  return JSON.parse(readFileSync(path, 'utf8')) as File
}

/** Of a benchmark that was run in parts: what their lists have, one after the other. */
function together([first, ...others]: File[]): File {
  const whole: Record<string, unknown> = { ...first }
  for (const other of others) {
    for (const [key, value] of Object.entries(other)) {
      if (Array.isArray(value)) whole[key] = [...((whole[key] as unknown[]) ?? []), ...value]
    }
  }
  return whole as unknown as File
}

function replace(section: string, text: string): void {
  writeFileSync(page, replaceSection(readFileSync(page, 'utf8'), section, text))
}

main(process.argv.slice(2))
