import assert from 'node:assert/strict'
import { once } from 'node:events'
import { suite, type TestContext, test } from 'node:test'
import type { Sender } from 'rhea'
import { folder, receive, Served, send } from './support.ts'

interface EndlessSender {
  readonly sender: Sender
  accepted: number
  /** Resolves when the server has said goodbye. */
  readonly told: Promise<unknown>
}

/** Sends whenever it may. */
async function endlessSender(t: TestContext, served: Served): Promise<EndlessSender> {
  const connection = await served.connect(t)
  const sender = connection.open_sender({ target: { address: 'q', capabilities: ['queue'] } })
  const client = { sender, accepted: 0, told: once(connection, 'connection_error') }
  sender.on('accepted', () => client.accepted++)
  sender.on('sendable', () => {
    while (sender.sendable()) sender.send({ durable: true, body: 'x' })
  })
  return client
}

suite('the end in good order', () => {
  test('clients are told why, and what was confirmed is there for the next', async (t) => {
    const data = folder(t)
    const first = await Served.start(t, { data })
    const connection = await first.connect(t)
    assert.equal(await send(connection, 'q', { durable: true, body: 'kept' }), 'accepted')
    const told = once(connection, 'connection_error')
    await first.stop(1_000)
    const [{ connection: closed }] = await told
    assert.equal(closed.error.condition, 'amqp:connection:forced')
    const second = await Served.start(t, { data })
    const [message] = await receive(await second.connect(t), 'q', 1)
    assert.equal(message!.body, 'kept')
  })

  test('what the broker has taken is answered before the goodbye, though clients never stop sending', async (t) => {
    const data = folder(t)
    const served = await Served.start(t, { data })
    const clients = await Promise.all([1, 2, 3, 4].map(() => endlessSender(t, served)))
    while (clients.some(({ accepted }) => accepted < 200)) await once(clients[0]!.sender, 'accepted')
    const report = await served.stop(5_000)
    await Promise.all(clients.map(({ told }) => told))
    const answered = clients.reduce((sum, { accepted }) => sum + accepted, 0)
    assert.deepEqual(report, { clean: true, unanswered: 0 })
    const again = await Served.start(t, { data })
    const { body } = await again.get('/metrics')
    assert(body.includes(`\nmillrace_messages ${answered}\n`), `${answered} answered, but ${body}`)
  })

  test('it is not ready any more while it waits for them', async (t) => {
    const served = await Served.start(t)
    const stopped = served.stop(1_000)
    assert.equal((await served.get('/health').catch(() => ({ status: 503 }))).status, 503)
    await stopped
  })
})
