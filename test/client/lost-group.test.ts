import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MessageConsumer } from '../../src/client/consumer.ts'
import type { Incoming, ProviderReceiver } from '../../src/client/provider.ts'
import type { Session } from '../../src/client/session.ts'

function member(tag: number): Incoming {
  return { tag, livesUntil: 0, expiry: 0, deliveryCount: 1, content: { groupId: 'g' } } as unknown as Incoming
}

/** A consumer whose broker takes whatever it is told; answers what it was told. */
function opened(): { consumer: MessageConsumer<unknown>; told: string[] } {
  const told: string[] = []
  const session = {
    started: true,
    closed: false,
    work: undefined,
    connection: { capabilities: {} },
    report: () => {},
    lostDelivered: () => {},
  }
  const receiver = {
    grant: () => {},
    settle: (ranges: readonly number[], { outcome }: { outcome: string }) => {
      told.push(`${outcome} ${ranges.join('-')}`)
      return Promise.resolve()
    },
  }
  const consumer = new MessageConsumer<unknown>(session as unknown as Session, undefined, { prefetch: 10 })
  consumer.attach(receiver as unknown as ProviderReceiver)
  return { consumer, told }
}

test('a member of a group that fails sends those behind it back, to wait for it', async () => {
  const { consumer, told } = opened()
  consumer.deliver([member(1), member(2)])
  await consumer.take()!.fail('no')
  await Promise.resolve()
  assert.deepEqual(told, ['modified 1-1', 'released 2-2'])
  assert.equal(consumer.take(), undefined)
})

test('one whose connection was lost comes again before those behind it, and sends nothing back that came since', async () => {
  const { consumer, told } = opened()
  consumer.deliver([member(1), member(2)])
  const lost = consumer.take()!
  consumer.lost()
  consumer.deliver([member(3)])
  await lost.fail('no').catch(() => {})
  consumer.deliver([member(4)])
  assert.deepEqual([consumer.take()?.incoming.tag, consumer.take()?.incoming.tag], [3, 4])
  assert.deepEqual(
    told.filter((each) => each.startsWith('released')),
    [],
  )
})
