import { posix } from 'node:path'
import type { Violation } from './source.ts'

/** A Markdown page; its path is relative to the repository. */
export interface Page {
  readonly path: string
  readonly text: string
}

function violation(rule: string, path: string, message: string): Violation {
  return { rule, path, line: 1, message }
}

/** The catalogue and docs/errors/ hold the same codes, and each page repeats what the catalogue says. */
export function checkErrorPages(
  catalogue: Readonly<Record<string, { retryable: boolean; summary: string }>>,
  pages: readonly Page[],
): Violation[] {
  const byCode = new Map(pages.map((page) => [posix.basename(page.path, '.md'), page]))
  const violations = pages
    .filter(({ path }) => !Object.hasOwn(catalogue, posix.basename(path, '.md')))
    .map(({ path }) => violation('error-pages', path, 'no such code in src/model/errors.ts'))
  for (const [code, { retryable, summary }] of Object.entries(catalogue)) {
    const path = `docs/errors/${code}.md`
    const text = byCode.get(code)?.text
    const wanted = [
      `# ${code}`,
      `**${summary}.**`,
      `Retryable: ${retryable ? 'yes' : 'no'}.`,
      '## What it means',
      '## What to do',
    ]
    const missing = wanted.filter((line) => !text?.split('\n').includes(line))
    if (text === undefined) violations.push(violation('error-pages', path, 'the code has no page'))
    else if (missing.length > 0)
      violations.push(violation('error-pages', path, `lacks the lines: ${missing.join(' | ')}`))
  }
  return violations
}

const statusLine = /^Status: (proposed|accepted|rejected|superseded by \d{4}) · \d{4}-\d{2}-\d{2}$/m

/** Decisions are numbered without gaps, and each says whether it holds. */
export function checkDecisions(pages: readonly Page[]): Violation[] {
  const violations: Violation[] = []
  pages.forEach(({ path, text }, index) => {
    const number = String(index).padStart(4, '0')
    if (!posix.basename(path).startsWith(`${number}-`))
      violations.push(violation('decisions', path, `expected number ${number} here`))
    if (!text.startsWith(`# ${number} `))
      violations.push(violation('decisions', path, `the title begins with '# ${number} '`))
    if (!statusLine.test(text))
      violations.push(violation('decisions', path, "lacks 'Status: accepted · YYYY-MM-DD' or the like"))
  })
  return violations
}

/** Code blocks and levels of headings, in order: what two languages of one page have in common. */
function skeleton(text: string): string[] {
  const lines: string[] = []
  let fenced = false
  for (const line of text.split('\n')) {
    if (line.startsWith('```')) {
      fenced = !fenced
      if (fenced) lines.push(line)
    } else if (!fenced && /^#+ /.test(line)) lines.push(line.replace(/ .*/, ''))
  }
  return lines
}

/** A translation has the headings and code blocks of its original, in the same order. */
export function checkTranslation(original: Page, translation: Page): Violation[] {
  const wanted = skeleton(original.text)
  const found = skeleton(translation.text)
  const at = wanted.findIndex((line, index) => line !== found[index])
  if (at < 0 && wanted.length === found.length) return []
  const index = at < 0 ? wanted.length : at
  const message = `heading or code block ${index + 1} is '${found[index] ?? 'missing'}', in ${original.path} '${wanted[index] ?? 'missing'}'`
  return [violation('translation', translation.path, message)]
}

/** Every `npm run …` (and `npm start`, `npm test`) that a page shows exists in package.json. */
export function checkCommands(page: Page, scripts: Readonly<Record<string, string>>): Violation[] {
  const shown = page.text.matchAll(/\bnpm (?:run (?:-\S+ )*([\w:.-]+)|(start|test)\b)/g)
  const names = new Set([...shown].map((match) => match[1] ?? match[2]!))
  return [...names]
    .filter((name) => !Object.hasOwn(scripts, name))
    .map((name) => violation('commands', page.path, `package.json has no script '${name}'`))
}

/** Files that the scripts of package.json name are there. */
export function checkScripts(
  scripts: Readonly<Record<string, string>>,
  exists: (path: string) => boolean,
): Violation[] {
  return Object.entries(scripts).flatMap(([name, command]) =>
    [...command.matchAll(/(?<![\w/])(?:tools|test|bench|examples)\/[\w/.-]+\.(?:ts|mjs)\b/g)]
      .filter(([path]) => !exists(path))
      .map(([path]) => violation('commands', 'package.json', `script '${name}' needs '${path}'`)),
  )
}

/** Relative links lead to files that exist. */
export function checkLinks(page: Page, exists: (path: string) => boolean): Violation[] {
  const links = page.text.replace(/```.*?```/gs, '').matchAll(/\]\(([^)\s#]+)(?:#[^)\s]*)?\)/g)
  return [...links]
    .map((match) => match[1]!)
    .filter((link) => !/^[a-z]+:/.test(link))
    .filter((link) => !exists(posix.join(posix.dirname(page.path), link)))
    .map((link) => violation('links', page.path, `'${link}' does not exist`))
}
