import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { suite, test } from 'node:test'
import { readManifest, readText, root } from '../../tools/house/repository.ts'
import { env } from './support.ts'

function run(program: string): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [program], { cwd: root, encoding: 'utf8', env })
}

suite('the example that npm run demo runs', { concurrency: 2 }, () => {
  test('a killed producer carries on; nothing confirmed is missing or doubled, in the order of the file', () => {
    const { status, stdout, stderr } = run('examples/orders/main.ts')
    assert.equal(status, 0, `${stdout}${stderr}`)
    assert.match(stdout, /Killed with SIGKILL after it had noted line \d+/)
    assert.match(stdout, /2000 orders arrived/)
    assert.match(stdout, /Nothing confirmed is missing, nothing is doubled/)
    assert.equal(readManifest().scripts['demo'], 'node tools/preflight.mjs && node examples/orders/main.ts')
  })

  test('orders.csv is what tools/make-orders.ts makes', () => {
    const { status, stdout } = run('tools/make-orders.ts')
    assert.equal(status, 0)
    assert.equal(stdout, readText('examples/orders/orders.csv'))
  })
})
