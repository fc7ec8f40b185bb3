/** Every way to settle, at both ends. */
import { assert, assertEqual, type Check } from './checks.ts'
import { connected, fresh, Inbox, Outbox } from './client.ts'

export const settlement: Readonly<Record<string, Check>> = {
  'send and receive': () =>
    connected(async (connection) => {
      const queue = fresh('roundtrip')
      const sent = {
        durable: true,
        message_id: 'm-1',
        correlation_id: 'c-1',
        subject: 'greeting',
        application_properties: { text: 'ü', number: 42, yes: true },
        body: { list: [1, 'two', null], nested: { deep: 'value' } },
      }
      await (await Outbox.open(connection, queue)).mustAccept(sent)
      const [message] = await (await Inbox.open(connection, queue)).accept(1)
      for (const [field, value] of Object.entries(sent)) assertEqual(message![field as 'body'], value, field)
    }),

  accepted: () =>
    connected(async (connection) => {
      const queue = fresh('accepted')
      await (await Outbox.open(connection, queue)).mustAccept({ body: 1 }, { body: 2 })
      const inbox = await Inbox.open(connection, queue)
      await inbox.accept(2)
      await inbox.close()
      await (await Inbox.open(connection, queue)).mustBeEmpty('the queue')
    }),

  released: () =>
    connected(async (connection) => {
      const queue = fresh('released')
      await (await Outbox.open(connection, queue)).mustAccept({ body: 'again' })
      const inbox = await Inbox.open(connection, queue)
      ;(await inbox.next()).delivery.release({ delivery_failed: false })
      const { message, delivery } = await inbox.next()
      assertEqual(message.body, 'again', 'the body')
      assertEqual(message.delivery_count ?? 0, 0, 'the delivery count')
      delivery.accept()
    }),

  rejected: () =>
    connected(async (connection) => {
      const queue = fresh('rejected')
      await (await Outbox.open(connection, queue)).mustAccept({ body: 'bad', message_id: 'm-1' })
      const inbox = await Inbox.open(connection, queue)
      const { delivery } = await inbox.next()
      delivery.reject({ condition: 'app:bad', description: 'no use' })
      const [message] = await (await Inbox.open(connection, `${queue}.dlq`)).accept(1)
      assertEqual([message!.body, message!.message_id], ['bad', 'm-1'], 'the dead letter')
      await inbox.mustBeEmpty('the queue')
    }),

  'modified, delivery failed': () =>
    connected(async (connection) => {
      const queue = fresh('failed')
      await (await Outbox.open(connection, queue)).mustAccept({ body: 'again' })
      const inbox = await Inbox.open(connection, queue)
      ;(await inbox.next()).delivery.modified({ delivery_failed: true, undeliverable_here: false })
      const { message, delivery } = await inbox.next()
      assertEqual(message.delivery_count, 1, 'the delivery count')
      delivery.accept()
    }),

  'modified, undeliverable here': () =>
    connected(async (connection) => {
      const queue = fresh('elsewhere')
      await (await Outbox.open(connection, queue)).mustAccept({ body: 'elsewhere' })
      const first = await Inbox.open(connection, queue)
      ;(await first.next()).delivery.modified({ delivery_failed: false, undeliverable_here: true })
      await first.mustBeEmpty('the first link')
      const second = await Inbox.open(connection, queue)
      assertEqual((await second.accept(1))[0]!.body, 'elsewhere', 'the body')
    }),

  'left unsettled': () =>
    connected(async (connection) => {
      const queue = fresh('unsettled')
      await (await Outbox.open(connection, queue)).mustAccept({ body: 'back' })
      await connected(async (other) => {
        await (await Inbox.open(other, queue)).next()
      })
      const [message] = await (await Inbox.open(connection, queue)).accept(1)
      assertEqual(message!.body, 'back', 'the body')
    }),

  'send pre-settled': () =>
    connected(async (connection) => {
      const queue = fresh('presettled-in')
      const { link } = await Outbox.open(connection, { target: queue, snd_settle_mode: 1 })
      link.send({ body: 'fire and forget' })
      const [message] = await (await Inbox.open(connection, queue)).accept(1)
      assertEqual(message!.body, 'fire and forget', 'the body')
    }),

  'receive pre-settled': () =>
    connected(async (connection) => {
      const queue = fresh('presettled-out')
      await (await Outbox.open(connection, queue)).mustAccept({ body: 'at most once' })
      const inbox = await Inbox.open(connection, { source: queue, snd_settle_mode: 1 })
      const { delivery } = await inbox.next()
      assert(delivery.remote_settled, 'the delivery came unsettled')
      await inbox.close()
      await (await Inbox.open(connection, queue)).mustBeEmpty('the queue')
    }),

  'settle second': () =>
    connected(async (connection) => {
      const queue = fresh('second')
      await (await Outbox.open(connection, queue)).mustAccept({ body: 1 })
      const inbox = await Inbox.open(connection, { source: queue, rcv_settle_mode: 1 })
      assertEqual(inbox.link.rcv_settle_mode, 1, 'the mode in the answer')
      const { delivery } = await inbox.next()
      const settled = new Promise<void>((resolve) => inbox.link.once('settled', () => resolve()))
      delivery.accept()
      assert(!delivery.remote_settled, 'the broker settled before it was told anything')
      await settled
      assert(delivery.remote_settled, 'the broker did not settle')
      await inbox.close()
      await (await Inbox.open(connection, queue)).mustBeEmpty('the queue')
    }),

  drain: () =>
    connected(async (connection) => {
      const queue = fresh('drain')
      await (await Outbox.open(connection, queue)).mustAccept({ body: 1 }, { body: 2 }, { body: 3 })
      const inbox = await Inbox.open(connection, queue)
      const arrivals = await inbox.drain(10)
      assertEqual(
        arrivals.map(({ message }) => message.body),
        [1, 2, 3],
        'what came before the drain ended',
      )
      assertEqual(inbox.credit, 0, 'the credit left')
      for (const { delivery } of arrivals) delivery.accept()
      await inbox.mustBeEmpty('the queue')
    }),
}
