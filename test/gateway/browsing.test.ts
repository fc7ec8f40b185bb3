/** Distribution mode copy (core 3.5.7): looking without taking. */
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { accepted } from '../../src/wire/amqp10/peer/performatives.ts'
import { GatewayBench, source } from './support.ts'

for (const sndSettleMode of ['settled', 'unsettled'] as const) {
  test(`a browser sees all there is, in order, and takes nothing (${sndSettleMode})`, async () => {
    const bench = await GatewayBench.start()
    const client = await bench.client()
    const sender = await client.sender({ address: 'q' })
    for (let i = 0; i < 150; i++) await sender.send(`${i}`)
    const attach = {
      source: source({ address: 'q', distributionMode: 'copy' }),
      sndSettleMode,
      rcvSettleMode: 'second',
    } as const
    const browser = await client.receiver({ ...attach, credit: 70 })
    assert.equal(browser.attach?.source?.distributionMode, 'copy')
    await bench.idle()
    assert.equal(browser.received.length, 70)
    browser.link.grant(100)
    browser.link.drain()
    await bench.idle()
    assert.equal(browser.lapsed, 20)
    assert.deepEqual(
      browser.received.map(({ text }) => text),
      Array.from({ length: 150 }, (_, i) => `${i}`),
    )
    for (const { id } of browser.received) browser.link.settle(id, id, accepted, false)
    await bench.idle()
    assert.equal(browser.answers.size, sndSettleMode === 'settled' ? 0 : 150)
    assert.equal(bench.bench.status('q').ready, 150)
    await browser.leave(true)
    assert.equal(bench.gateway.connections()[0]?.links, 1)
  })
}

test('large bodies are browsed too', async () => {
  const bench = await GatewayBench.start()
  const client = await bench.client()
  const sender = await client.sender({ address: 'q' })
  const value = Buffer.alloc(900_000, 'xyz')
  await sender.send({ body: { kind: 'bytes', value } })
  await sender.send('small')
  const browser = await client.receiver({
    source: source({ address: 'q', distributionMode: 'copy' }),
    credit: 10,
  })
  const [large, small] = await browser.take()
  assert.ok(Buffer.from(large as Uint8Array).equals(value))
  assert.equal(small, 'small')
})

test('a queue that does not exist cannot be browsed', async () => {
  const bench = await GatewayBench.start()
  const client = await bench.client()
  const browser = await client.receiver({ source: source({ address: 'q', distributionMode: 'copy' }) })
  assert.equal(browser.refusal, 'amqp:not-found')
})
