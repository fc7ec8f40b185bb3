import type { Layers } from './layers.ts'
import type { Source, Violation } from './source.ts'

export function checkSizes(source: Source, { limits }: Layers): Violation[] {
  const violations: Violation[] = []
  const add = (line: number, message: string) =>
    violations.push({ rule: 'sizes', path: source.path, line, message })
  if (source.lines > limits.fileLines) add(1, `${source.lines} lines; a file has at most ${limits.fileLines}`)
  for (const { name, line, lines } of source.functions) {
    if (lines > limits.functionLines)
      add(line, `function ${name || '(unnamed)'} has ${lines} lines; at most ${limits.functionLines}`)
  }
  return violations
}

/** The value below which `share` of the values lie (nearest rank). 0 for none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0
}
