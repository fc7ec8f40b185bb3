export type Verdict = 'ok' | 'FAIL' | 'skip'

export interface Result {
  readonly program: string
  readonly check: string
  readonly verdict: Verdict
  readonly reason: string
}

const ours = /^(ok|FAIL|skip) (.+)$/
const goWords: Readonly<Record<string, Verdict>> = { PASS: 'ok', FAIL: 'FAIL', SKIP: 'skip' }

/** A line `ok NAME`, `FAIL NAME: reason` or `skip NAME: reason`, or one that matches `foreign` with verdict and name. */
export function parseLine(program: string, line: string, foreign?: RegExp): Result | undefined {
  if (foreign) {
    const [, word = '', check = ''] = foreign.exec(line) ?? []
    const verdict = goWords[word]
    return verdict && { program, check, verdict, reason: verdict === 'ok' ? '' : 'see the output above' }
  }
  const [, verdict, rest] = ours.exec(line) ?? []
  if (verdict === undefined || rest === undefined) return undefined
  const colon = verdict === 'ok' ? -1 : rest.indexOf(': ')
  const check = colon < 0 ? rest : rest.slice(0, colon)
  return { program, check, verdict: verdict as Verdict, reason: colon < 0 ? '' : rest.slice(colon + 2) }
}

/** A row per check, a column per program; then the reasons for what failed or was left out. */
export function table(results: readonly Result[]): string {
  const programs = [...new Set(results.map(({ program }) => program))]
  const checks = [...new Set(results.map(({ check }) => check))]
  const width = Math.max(...checks.map(({ length }) => length))
  const cells = (check: string): string =>
    programs.map((program) => (find(results, program, check)?.verdict ?? '').padEnd(7)).join('')
  const rows = checks.map((check) => `${check.padEnd(width)}  ${cells(check)}`.trimEnd())
  const head = `${''.padEnd(width)}  ${programs.map((program) => program.padEnd(7)).join('')}`.trimEnd()
  const reasons = results
    .filter(({ reason }) => reason !== '')
    .map(({ program, check, verdict, reason }) => `${verdict} ${program}: ${check}: ${reason}`)
  const count = (program: string, verdict: Verdict): number =>
    results.filter((result) => result.program === program && result.verdict === verdict).length
  const sums = programs.map(
    (program) =>
      `${program}: ${count(program, 'ok')} ok, ${count(program, 'FAIL')} failed, ${count(program, 'skip')} left out`,
  )
  return [head, ...rows, '', ...reasons, '', ...sums].join('\n')
}

function find(results: readonly Result[], program: string, check: string): Result | undefined {
  return results.find((result) => result.program === program && result.check === check)
}
