import { type FunctionSize, functionSizes } from './functions.ts'
import { type Export, findExports, findImports, type Import } from './modules.ts'
import { parseTypeScript, type Syntax } from './syntax.ts'

/** One TypeScript file and what the rules want to know of it. Paths are relative to the repository, with `/`. */
export interface Source {
  readonly path: string
  readonly lines: number
  readonly syntax: Syntax
  readonly imports: readonly Import[]
  readonly exports: readonly Export[]
  readonly functions: readonly FunctionSize[]
}

/** A broken rule, where, and what to do instead. */
export interface Violation {
  readonly rule: string
  readonly path: string
  readonly line: number
  readonly message: string
}

export function readSource(path: string, text: string): Source {
  const syntax = parseTypeScript(path, text)
  return {
    path,
    lines: text.split('\n').length - (text.endsWith('\n') ? 1 : 0),
    syntax,
    imports: findImports(path, syntax),
    exports: findExports(syntax),
    functions: functionSizes(syntax),
  }
}

export function describeViolations(violations: readonly Violation[]): string {
  return violations.map((v) => `${v.path}:${v.line} [${v.rule}] ${v.message}`).join('\n')
}
