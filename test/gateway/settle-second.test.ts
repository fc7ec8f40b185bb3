/** Senders that settle second: the broker says what became of a delivery and forgets it when the sender has (core 2.6.12). */
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { type Client, GatewayBench, type TestSender } from './support.ts'

const WINDOW = 4

async function attach(): Promise<{ client: Client; sender: TestSender; idle: () => Promise<void> }> {
  const bench = await GatewayBench.start({ creditWindow: WINDOW })
  const client = await bench.client()
  const sender = await client.sender({ address: 'q', rcvSettleMode: 'second' })
  assert.equal(sender.attach!.rcvSettleMode, 'second')
  return { client, sender, idle: () => bench.idle() }
}

test('the outcome comes unsettled, and the settlement of the sender gives it credit back', async () => {
  const { sender, idle } = await attach()
  const decided: [number, string | undefined, boolean][] = []
  sender.disposition = (first, last, state, settled) => {
    for (let id = first; id <= last; id++) decided.push([id, state?.kind, settled])
  }
  const ids = Array.from({ length: WINDOW }, (_, index) => sender.put(`${index}`))
  await idle()
  assert.deepEqual(
    decided,
    ids.map((id) => [id, 'accepted', false]),
  )
  assert.equal(sender.link.credit, 0, 'what the sender has not settled takes up the window')
  sender.link.settle(ids[0]!, ids.at(-1)!, undefined)
  await idle()
  assert.equal(sender.link.credit, WINDOW)
})

test('a sender that settles before it was told anything is not waited for', async () => {
  const { sender, idle } = await attach()
  const told: number[] = []
  sender.disposition = (first) => told.push(first)
  for (let index = 0; index < 3 * WINDOW; index++) {
    const id = sender.put(`${index}`)
    sender.link.settle(id, id, undefined)
    await idle()
  }
  assert.deepEqual(told, [])
  assert.ok(sender.link.credit > 0)
})
