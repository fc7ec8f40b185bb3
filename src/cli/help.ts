import type { Command } from './command.ts'
import { exitCodes } from './exit-code.ts'
import { type OptionName, optionSpecs } from './options.ts'

/** Options that every command takes. */
export const commonOptions: readonly OptionName[] = ['url', 'json', 'help']

/** The page for `millrace help`. */
export function overview(commands: readonly Command[]): string {
  const width = Math.max(...commands.map(({ name }) => name.length))
  return [
    'millrace: a durable message broker in a directory of your own',
    '',
    'usage: millrace COMMAND [ARGUMENTS] [OPTIONS]',
    '',
    ...commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`),
    `  ${'help'.padEnd(width)}  this text, or with the name of a command more about it`,
    '',
    'options of every command:',
    ...optionLines([...commonOptions, 'version']),
    '',
    'exit codes:',
    ...exitCodeLines(),
    '',
    'A first try:',
    "  millrace send orders 'one apple' 'two pears'",
    '  millrace receive orders',
  ].join('\n')
}

/** The page for one command. */
export function helpFor(command: Command): string {
  const { name, synopsis, summary, details, options } = command
  return [
    `usage: millrace ${name} ${synopsis}`.trimEnd(),
    '',
    `${summary[0]!.toUpperCase()}${summary.slice(1)}.`,
    '',
    ...details,
    '',
    'options:',
    ...optionLines([...options, ...commonOptions]),
    '',
    'exit codes:',
    ...exitCodeLines(),
  ].join('\n')
}

function optionLines(names: readonly OptionName[]): string[] {
  const heads = names.map((name) => {
    const { short, value } = optionSpecs[name]
    return `${short ? `-${short}, ` : ''}--${name}${value ? ` ${value}` : ''}`
  })
  const width = Math.max(...heads.map((head) => head.length))
  return heads.map((head, index) => `  ${head.padEnd(width)}  ${optionSpecs[names[index]!].help}`)
}

function exitCodeLines(): string[] {
  return exitCodes.map(([code, meaning]) => `  ${String(code).padStart(3)}  ${meaning}`)
}
