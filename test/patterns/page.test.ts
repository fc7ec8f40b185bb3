import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { readText } from '../../tools/house/repository.ts'
import { env, Running } from '../cli/support.ts'

const entries: Readonly<Record<string, string>> = {
  millrace: '../../src/index.ts',
  'millrace/patterns': '../../src/patterns/index.ts',
  'millrace/testing': '../../src/testing/index.ts',
}

/** Those that need nothing but this package and Node.js. */
const programs = [...readText('docs/patterns.md').matchAll(/```ts\n(.*?)```/gs)]
  .map(([, code]) => code!)
  .filter((code) =>
    [...code.matchAll(/from '([^']+)'/g)].every(([, name]) => name! in entries || name!.startsWith('node:')),
  )

suite('the programs of docs/patterns.md run as they stand', { concurrency: 2 }, () => {
  for (const [number, program] of programs.entries()) {
    test(`program ${number + 1}: ${/import { .*(?=millrace\/)/.exec(program)?.[0] ?? ''}`, async (t) => {
      const folder = mkdtempSync(join(tmpdir(), 'millrace-patterns-'))
      t.after(() => rmSync(folder, { recursive: true, force: true }))
      writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
      const text = program.replace(
        /from '(millrace[^']*)'/g,
        (_, name: string) => `from '${new URL(entries[name]!, import.meta.url).href}'`,
      )
      writeFileSync(join(folder, 'program.ts'), text)
      const running = new Running(spawn(process.execPath, ['program.ts'], { cwd: folder, env }), folder)
      const { code, stderr } = await running.ended
      assert.deepEqual({ code, stderr }, { code: 0, stderr: '' })
    })
  }
})
