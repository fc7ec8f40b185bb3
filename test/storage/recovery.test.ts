import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { Bench } from './support.ts'

test('promise 1: what was durable before a power cut is there after it, byte for byte', async () => {
  const bench = new Bench()
  const keeper = await bench.open()
  const lsns = Array.from({ length: 50 }, (_, i) => keeper.publish(1 + (i % 3), `message ${i}`))
  await bench.commit()
  keeper.settle(2, [lsns[1]!, lsns[4]!])
  await bench.commit()
  const held = new Map(keeper.held)
  const after = await bench.crash()
  assert.deepEqual(after.held, held)
  assert.equal(bench.report.tornBytes, 0)
  assert.deepEqual(bench.report.quarantined, [])
  assert.equal(await bench.payload(1, lsns[0]!), 'message 0')
  assert.equal(await bench.payload(3, lsns[47]!), 'message 47')
})

test('a checkpoint at close bounds the replay', async () => {
  const bench = new Bench()
  const keeper = await bench.open()
  const lsns = Array.from({ length: 500 }, (_, i) => keeper.publish(1, `message ${i} ${'x'.repeat(100)}`))
  await bench.commit()
  keeper.settle(1, lsns.slice(0, 100))
  await bench.commit()
  await bench.close()
  const after = await bench.open()
  assert.equal(bench.report.operationsReplayed, 0)
  assert.deepEqual(
    [...after.held.keys()].sort((a, b) => a - b),
    lsns.slice(100),
  )
  const payloads = await bench.payloads(1, lsns.slice(100))
  assert.equal(payloads[0], `message 100 ${'x'.repeat(100)}`)
  assert.equal(payloads.at(-1), `message 499 ${'x'.repeat(100)}`)
})
