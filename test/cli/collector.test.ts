import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { CollectorGuide } from '../../src/cli/collector.ts'

test('a small heap may grow, a large one, which holds a backlog, is left to V8', (t: TestContext) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const flags: string[] = []
  let heap = 20 * 2 ** 20
  {
    using _ = new CollectorGuide({ heapBytes: () => heap, setFlag: (flag) => flags.push(flag) })
    assert.deepEqual(flags, ['--heap-growing-percent=200'])
    t.mock.timers.tick(1_000)
    heap = 300 * 2 ** 20
    t.mock.timers.tick(1_000)
    t.mock.timers.tick(1_000)
    assert.deepEqual(flags.splice(0), ['--heap-growing-percent=200', '--heap-growing-percent=0'])
    heap = 20 * 2 ** 20
    t.mock.timers.tick(1_000)
  }
  assert.deepEqual(flags, ['--heap-growing-percent=200', '--heap-growing-percent=0'])
})
