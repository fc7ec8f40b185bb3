import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, type TestContext, test } from 'node:test'
import { connect, queue } from '../../src/index.ts'
import { readText } from '../../tools/house/repository.ts'
import { env, Running } from './support.ts'

const entries = {
  millrace: new URL('../../src/index.ts', import.meta.url).href,
  'millrace/testing': new URL('../../src/testing/index.ts', import.meta.url).href,
}

/** The programs that a page shows. */
function programsOf(page: string): string[] {
  return [...readText(page).matchAll(/```ts\n(.*?)```/gs)].map(([, code]) => code!)
}

/** Runs a program in a folder of its own, with the package's names standing for its sources. */
function start(folder: string, code: string): Running {
  const text = code.replace(
    /from '(millrace(?:\/testing)?)'/g,
    (_, name: keyof typeof entries) => `from '${entries[name]}'`,
  )
  writeFileSync(join(folder, 'program.ts'), text)
  return new Running(spawn(process.execPath, ['program.ts'], { cwd: folder, env }), folder)
}

function makeFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-readme-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
  return folder
}

suite('the programs of the README run as they stand', () => {
  const [fiveLines, ...others] = programsOf('README.md')

  test('five lines: the mail is sent and handled; SIGTERM ends the program, and the queue is empty', async (t) => {
    const folder = makeFolder(t)
    const running = start(folder, fiveLines!)
    await running.printed(1)
    running.child.kill('SIGTERM')
    const { code, stdout, stderr } = await running.ended
    assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: 'mail to ada@example.org\n', stderr: '' })
    await using mq = await connect(`file:${join(folder, 'data')}`)
    assert.equal(await mq.receive(queue('mail'), { timeout: 0 }), undefined)
  })

  test('the others, one after the other on the same data', async (t) => {
    const folder = makeFolder(t)
    const outputs: string[] = []
    for (const program of others) {
      const running = start(folder, program)
      const { code, stdout, stderr } = await running.ended
      assert.deepEqual({ code, stderr }, { code: 0, stderr: '' }, program)
      outputs.push(stdout)
    }
    assert.equal(outputs[1], 'ready 1\nready 2\n', 'sent twice under one number, stored once')
  })

  test('the Chinese README shows the same programs', () => {
    const strip = (code: string) => code.replace(/ *\/\/ .*/g, '')
    assert.deepEqual(programsOf('README.zh.md').map(strip), programsOf('README.md').map(strip))
  })
})
