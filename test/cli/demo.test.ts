import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { suite, test } from 'node:test'
import { readManifest, readText, root } from '../../tools/house/repository.ts'
import { env } from './support.ts'

function run(...program: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, program, { cwd: root, encoding: 'utf8', env })
}

suite('the examples that npm run demo runs', { concurrency: 2 }, () => {
  test('import: a killed producer carries on; nothing confirmed is missing or doubled, in the order of the file', () => {
    const { status, stdout, stderr } = run('examples/main.ts')
    assert.equal(status, 0, `${stdout}${stderr}`)
    assert.match(stdout, /Killed with SIGKILL after it had noted line \d+/)
    assert.match(stdout, /2000 orders arrived/)
    assert.match(stdout, /Nothing confirmed is missing, nothing is doubled/)
    assert.equal(readManifest().scripts['demo'], 'node tools/preflight.mjs && node examples/main.ts')
  })

  test('a scenario that there is not, a scale that is none and an unknown option: why, usage, exit code 2', () => {
    const wrong = { chess: /^there is no scenario chess/, 'chat --scale 0': /^--scale/, '--fast': /'--fast'/ }
    for (const [line, why] of Object.entries(wrong)) {
      const { status, stdout, stderr } = run('examples/main.ts', ...line.split(' '))
      assert.deepEqual([status, stdout], [2, ''])
      assert.match(stderr, why)
      assert.match(stderr, /^npm run demo/m)
      assert.doesNotMatch(stderr, /^ +at /m)
    }
  })

  test('orders.csv is what tools/make-orders.ts makes', () => {
    const { status, stdout } = run('tools/make-orders.ts')
    assert.equal(status, 0)
    assert.equal(stdout, readText('examples/import/orders.csv'))
  })
})
