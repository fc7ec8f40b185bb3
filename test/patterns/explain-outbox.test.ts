import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { connect } from '../../src/index.ts'
import { fromSqlite, migrate, openOutbox, outboxSchema } from '../../src/patterns/index.ts'

async function database(): Promise<ReturnType<typeof fromSqlite>> {
  const made = fromSqlite(new DatabaseSync(':memory:'))
  await migrate(made, outboxSchema)
  return made
}

test('an outbox explains itself by its configuration, and by the relays that run', async () => {
  await using mq = await connect('memory:')
  await using outbox = await openOutbox({ database: await database(), maxMessageBytes: 1234 })
  const before = outbox.explain()
  assert.match(before.text, /No relay is running/)
  assert.match(before.text, /more than 1234 bytes/)
  assert.doesNotMatch(before.text, /half messages/i)
  await outbox.relay(mq, { lease: '45s', poll: { max: '3s' } })
  await outbox.relay(mq, { lease: '90s', poll: { max: '5s' } })
  const running = outbox.explain()
  assert.match(running.text, /one elsewhere within 3 s/)
  assert.match(running.text, /taken over after 1.5 min/)
  assert.doesNotMatch(running.text, /No relay/)
  await outbox.close()
  const halves = { mq, producerGroup: 'shop', commitWithin: '40s' } as const
  await using other = await openOutbox({ database: await database(), halfMessages: halves })
  assert.match(other.explain().lost.join(' '), /not committed within 40 s/)
})
