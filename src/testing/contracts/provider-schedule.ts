import { strict as assert } from 'node:assert'
import type { Context } from '../../client/context.ts'
import { contract, one, type ProviderSubject } from './provider-subject.ts'

/** Longer than any test takes. */
const HOUR = 3_600_000

/** Delivery delay, times of delivery, repetition, and looking after them (JMS 2.0, 7.9). */
export function testSchedule(subject: ProviderSubject): void {
  testUndecidedSchedule(subject)
  contract(
    subject,
    ['delay'],
    'a delayed message is not delivered early, and says when it was due',
    async (bench) => {
      const mq = await bench.connect()
      const queue = bench.queue()
      const before = Date.now()
      const receipt = await mq.send(queue, 'later', { delay: 60 })
      await mq.send(queue, 'now')
      // Whichever of them comes first: where the sends take longer than the delay, the other one.
      let message = await one(mq, queue)
      if (message.body !== 'later') message = await one(mq, queue)
      const after = Date.now()
      assert.equal(message.body, 'later')
      assert.ok(message.deliveryTime! >= before + 60, 'the delay counts from the call')
      assert.ok(after >= message.deliveryTime!, 'it came at its time or later')
      assert.equal(typeof receipt.messageId, 'string')
    },
  )

  contract(
    subject,
    ['delay'],
    'a producer has a delay for all that it sends, which a send may leave out',
    async (bench) => {
      const mq = await bench.connect()
      const queue = bench.queue()
      const producer = await mq.createProducer(queue, { delay: HOUR })
      await producer.send('later')
      await producer.send('now', { delay: 0 })
      await producer.send('past', { deliverAt: new Date(1) })
      const first = await one(mq, queue)
      assert.deepEqual([first.body, first.deliveryTime], ['now', first.timestamp])
      const second = await one(mq, queue)
      assert.deepEqual([second.body, second.deliveryTime], ['past', 1])
    },
  )

  contract(
    subject,
    ['delay', 'policies'],
    'what is scheduled is counted, listed, found and cancelled',
    async (bench, t) => {
      const mq = await bench.connect()
      const { management } = mq.connection.provided
      if (!management) return t.skip('it has no management')
      const queue = bench.queue()
      const at = Date.now() + HOUR
      const second = await mq.send(queue, 'second', { deliverAt: at + 1 })
      const first = await mq.send(queue, 'first', { deliverAt: new Date(at), priority: 7 })
      const page = await management.scheduled(queue.name)
      assert.deepEqual(
        page.messages.map(({ id, due, messageId, queues }) => [id, due, messageId, queues]),
        [
          [first.scheduleId, at, first.messageId, [queue.name]],
          [second.scheduleId, at + 1, second.messageId, [queue.name]],
        ],
      )
      assert.equal(page.messages[0]!.priority, 7)
      assert.equal((await management.scheduled(undefined, undefined, 1)).messages.length, 1)
      assert.equal((await management.locate(first.scheduleId!))[0]?.state, 'scheduled')
      assert.equal(await scheduledFor(mq, queue.name), 2)
      assert.deepEqual(
        [await management.cancel(first.scheduleId!), await management.cancel(first.scheduleId!)],
        [true, false],
      )
      assert.equal(await management.cancel('x'), false)
      assert.equal(await management.cancelAll(queue.name), 1)
      assert.equal(await scheduledFor(mq, queue.name), 0)
      await assert.rejects(management.scheduled('nowhere'), { code: 'destination-not-found' })
    },
  )

  contract(subject, ['repetition'], 'a repeating message comes as often as it says', async (bench) => {
    const mq = await bench.connect()
    const queue = bench.queue()
    await mq.send(queue, 'tick', { repeat: { every: 15, times: 3 } })
    for (let i = 0; i < 3; i++) assert.equal((await one(mq, queue)).body, 'tick')
    await mq.send(queue, 'tock', { repeat: { cron: '* * * * * *', times: 1 } })
    assert.equal((await one(mq, queue)).body, 'tock')
  })

  contract(
    subject,
    ['delay', 'repetition'],
    'what cannot be kept is refused before it is sent',
    async (bench) => {
      const mq = await bench.connect()
      const queue = bench.queue()
      const wrong = [
        { delay: 1, deliverAt: 1 },
        { deliverAt: Number.NaN },
        { deliverAt: -1 },
        { repeat: { every: 0 } },
        { repeat: { every: 5, times: 0 } },
        { repeat: { cron: 'every day' } },
        { repeat: { cron: '0 0 30 2 *' } },
        { repeat: { cron: '* * * * *', timezone: 'Nowhere' } },
      ]
      for (const options of wrong) {
        await assert.rejects(
          mq.send(queue, 'm', options),
          { code: 'schedule-invalid' },
          JSON.stringify(options),
        )
      }
      await assert.rejects(mq.send(queue, 'm', { delay: -1 }), { code: 'duration-invalid' })
      await mq.send(queue, 'the only one')
      assert.equal((await one(mq, queue)).body, 'the only one')
    },
  )
}

/** What is scheduled waits for the decision on it, and its delay runs meanwhile (JMS 7.9). */
function testUndecidedSchedule(subject: ProviderSubject): void {
  contract(
    subject,
    ['delay', 'transactions'],
    'JMS 7.9: in a transaction a delay counts from the send, and comes to nothing without the commit',
    async (bench) => {
      const mq = await bench.connect()
      const queue = bench.queue()
      const tx = await mq.createContext({ acknowledge: 'transacted' })
      await tx.send(queue, 'never', { delay: 1 })
      await tx.rollback()
      await tx.send(queue, 'later', { delay: HOUR })
      await tx.send(queue, 'soon', { delay: 20 })
      const sent = Date.now()
      const consumer = await mq.createConsumer(queue)
      assert.equal((await consumer.receive({ timeout: 60 }))?.body, undefined)
      await tx.commit()
      const message = (await consumer.receive())!
      assert.equal(message.body, 'soon')
      assert.ok(message.deliveryTime! <= sent + 20, 'the delay counts from the call')
      await message.acknowledge()
      assert.equal((await consumer.receive({ timeout: 0 }))?.body, undefined)
      const { management } = mq.connection.provided
      if (management) assert.equal(await management.cancelAll(queue.name), 1)
    },
  )

  contract(
    subject,
    ['delay', 'preparedMessages'],
    'a half message with a delay waits for its commit, and for its time',
    async (bench) => {
      const mq = await bench.connect()
      const queue = bench.queue()
      const options = { producerGroup: 'orders', delay: 20 }
      const later = await mq.prepare(queue, 'later', { ...options, delay: HOUR })
      const [good, bad] = [await mq.prepare(queue, 'good', options), await mq.prepare(queue, 'bad', options)]
      const consumer = await mq.createConsumer(queue)
      assert.equal((await consumer.receive({ timeout: 60 }))?.body, undefined)
      await bad.rollback()
      await later.commit()
      await good.commit()
      const message = (await consumer.receive())!
      assert.equal(message.body, 'good')
      await message.acknowledge()
      assert.equal((await consumer.receive({ timeout: 0 }))?.body, undefined)
      const { management } = mq.connection.provided
      if (management) assert.equal(await management.cancelAll(queue.name), 1)
    },
  )
}

async function scheduledFor(mq: Context, name: string): Promise<number | undefined> {
  return (await mq.management.queues()).find((queue) => queue.name === name)?.scheduled
}
