import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { type Context, connect, isMillraceError, queue } from '../../src/index.ts'

const orders = queue<string>('orders')

async function bodies(mq: Context): Promise<string[]> {
  const found: string[] = []
  for await (const { body } of mq.browse(orders)) found.push(body)
  return found
}

function code(expected: string): (error: unknown) => boolean {
  return (error) => isMillraceError(error) && error.code === expected
}

suite('a producer with an identity stores a message once, however often it sends it (DESIGN §3)', () => {
  test('a resend under the same number is confirmed and not stored; another identity is another', async () => {
    await using mq = await connect('memory:')
    await using producer = await mq.createProducer(orders, { id: 'import' })
    assert.equal(producer.lastSequence, 0)
    for (const [sequence, body] of [
      [1, 'a'],
      [2, 'b'],
      [1, 'a'],
      [2, 'b'],
      [3, 'c'],
    ] as const)
      await producer.send(body, { sequence })
    await using other = await mq.createProducer(orders, { id: 'another' })
    await other.send('a', { sequence: 1 })
    assert.deepEqual(await bodies(mq), ['a', 'b', 'c', 'a'])
  })

  test('after a restart it goes on after its last number, and resends are known still', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-producer-'))
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    const url = `file:${join(folder, 'data')}`
    {
      await using mq = await connect(url)
      await using producer = await mq.createProducer(orders, { id: 'import' })
      await producer.send('a')
      await producer.send('b')
    }
    await using mq = await connect(url)
    await using producer = await mq.createProducer(orders, { id: 'import' })
    assert.equal(producer.lastSequence, 2)
    await producer.send('b', { sequence: 2 })
    await producer.send('c')
    assert.deepEqual(await bodies(mq), ['a', 'b', 'c'])
  })

  test('a number that was refused is free: its resend is stored', async () => {
    await using mq = await connect('memory:')
    const small = queue<string>('small', { policy: { maxMessages: 1, overflow: 'reject' } })
    await using producer = await mq.createProducer(small, { id: 'import' })
    await producer.send('a', { sequence: 1 })
    await assert.rejects(producer.send('b', { sequence: 2 }), code('queue-full'))
    await (await mq.receive(small))!.acknowledge()
    await producer.send('b', { sequence: 2 })
    assert.equal((await mq.receive(small))?.body, 'b')
  })

  test('misuse is named: a number without identity, at level memory, or that is none; an empty id', async () => {
    await using mq = await connect('memory:')
    await assert.rejects(mq.send(orders, 'a', { sequence: 1 }), code('argument-invalid'))
    await assert.rejects(mq.createProducer(orders, { id: '' }), code('argument-invalid'))
    await using producer = await mq.createProducer(orders, { id: 'import' })
    for (const sequence of [0, -1, 1.5, Number.NaN])
      await assert.rejects(producer.send('a', { sequence }), code('argument-invalid'))
    await assert.rejects(producer.send('a', { sequence: 1, durability: 'memory' }), code('argument-invalid'))
    assert.deepEqual(await mq.management.queues(), [])
  })
})
