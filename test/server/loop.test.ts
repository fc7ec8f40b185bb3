import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { setImmediate as round } from 'node:timers/promises'
import { ServerLoop } from '../../src/server/loop.ts'

suite('the loop of a server', () => {
  test('does once a round what reads have asked for: engine, then store, then output', async () => {
    const loop = new ServerLoop()
    const done: string[] = []
    for (const name of ['output', 'store', 'engine'] as const) loop[name].defer(() => done.push(name))
    // A read of another client, whose callback Node.js follows with all that waits for the next tick.
    await new Promise<void>((next) => process.nextTick(next))
    loop.engine.defer(() => done.push('of another read'))
    assert.deepEqual(done, [])
    await round()
    assert.deepEqual(done, ['engine', 'of another read', 'store', 'output'])
  })

  test('goes on to what a stage defers to one behind it in the same round, and comes back in the next', async () => {
    const loop = new ServerLoop()
    const done: string[] = []
    loop.engine.defer(() => {
      done.push('turn')
      loop.store.defer(() => {
        done.push('write')
        loop.store.defer(() => done.push('write again'))
      })
      loop.output.defer(() => {
        done.push('answer')
        loop.engine.defer(() => done.push('turn again'))
      })
    })
    await round()
    assert.deepEqual(done.splice(0), ['turn', 'write', 'answer'])
    await round()
    assert.deepEqual(done.splice(0), ['turn again', 'write again'])
    await round()
    assert.deepEqual(done, [])
  })
})
