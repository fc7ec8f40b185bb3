import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { exitCodes } from '../../src/cli/exit-code.ts'
import { commonOptions } from '../../src/cli/help.ts'
import { type OptionName, optionSpecs } from '../../src/cli/options.ts'
import { commands } from '../../src/cli/run.ts'
import { readText } from '../../tools/house/repository.ts'

/** The page by headings of the second level. */
const sections = new Map(
  readText('docs/cli.md')
    .split(/^## /m)
    .map((text) => [text.split('\n', 1)[0]!, text] as const),
)

function optionsShown(section: string): string[] {
  return [...sections.get(section)!.matchAll(/^\| (?:`-\w`, )?`--([\w-]+)/gm)].map(([, name]) => name!)
}

suite('docs/cli.md says what the command does', () => {
  for (const { name, synopsis, options } of commands) {
    test(`${name}: its synopsis and each of its options, and no other`, () => {
      assert(sections.get(name)?.includes(`\nmillrace ${name} ${synopsis}`.trimEnd()), synopsis)
      assert.deepEqual(optionsShown(name).sort(), [...options].sort())
    })
  }

  test('options of every command', () => {
    assert.deepEqual(optionsShown('Options of every command').sort(), [...commonOptions, 'version'].sort())
  })

  test('every option belongs to a command', () => {
    const used = new Set<OptionName>([
      ...commonOptions,
      'version',
      ...commands.flatMap(({ options }) => options),
    ])
    assert.deepEqual([...used].sort(), Object.keys(optionSpecs).sort())
  })

  test('exit codes, with the same words as the help', () => {
    const rows = [...sections.get('Exit codes')!.matchAll(/^\| (\d+) \| (.*) \|$/gm)]
    const shown = rows.map(([, code, text]) => [Number(code), text!.replaceAll('`', '')])
    const wanted = exitCodes.map(([code, text]) => [
      code,
      text.replace('docs/errors/CODE.md', '[docs/errors](errors)'),
    ])
    assert.deepEqual(shown, wanted)
  })

  test('the README shows every command with its synopsis', () => {
    const shown = [...readText('README.md').matchAll(/^\| `(millrace .*?)` \|/gm)].map(([, text]) => text)
    assert.deepEqual(
      shown,
      commands.map(({ name, synopsis }) => `millrace ${name} ${synopsis}`.trimEnd()),
    )
  })
})
