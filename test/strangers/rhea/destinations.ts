/** Browsing, subscriptions, temporary queues, the anonymous relay. */
import type { Connection } from 'rhea'
import { assert, assertEqual, type Check } from './checks.ts'
import { connected, detached, fresh, Inbox, mustRefuse, Outbox } from './client.ts'

const TOPIC = { capabilities: ['topic'] }
/** terminus-durability unsettled-state */
const DURABLE = { durable: 2, expiry_policy: 'never' }

interface SubscriptionOptions {
  readonly capabilities?: readonly string[]
}

export function subscribe(
  connection: Connection,
  name: string,
  topic: string,
  { capabilities = [] }: SubscriptionOptions = {},
): Promise<Inbox> {
  const source = { address: topic, ...DURABLE, capabilities: ['topic', ...capabilities] }
  return Inbox.open(connection, { name, source })
}

/** Looks a subscription up by its name alone, then closes it, which ends it. */
async function unsubscribe(connection: Connection, name: string, capabilities: string[] = []): Promise<void> {
  const inbox = await Inbox.open(connection, {
    name,
    source: undefined!,
    desired_capabilities: capabilities,
  })
  await inbox.close()
}

const numbers = (from: number, to: number): { body: number }[] =>
  Array.from({ length: to - from + 1 }, (_, index) => ({ body: from + index }))

export const destinations: Readonly<Record<string, Check>> = {
  browse: () =>
    connected(async (connection) => {
      const queue = fresh('browse')
      await (await Outbox.open(connection, queue)).mustAccept({ body: 1 }, { body: 2 })
      const browser = await Inbox.open(connection, {
        snd_settle_mode: 1,
        source: { address: queue, distribution_mode: 'copy' },
      })
      const seen = await browser.drain()
      assertEqual(
        seen.map(({ message }) => message.body),
        [1, 2],
        'what the browser saw',
      )
      await browser.close()
      const taken = await (await Inbox.open(connection, queue)).accept(2)
      assertEqual(
        taken.map(({ body }) => body),
        [1, 2],
        'what was left',
      )
    }),

  topic: () =>
    connected(async (connection) => {
      const topic = fresh('topic')
      const early = await Outbox.open(connection, { target: { address: topic, ...TOPIC } })
      assertEqual(await early.send({ body: 0 }), 'accepted', 'the outcome without subscribers')
      const inboxes = [
        await Inbox.open(connection, { source: { address: topic, ...TOPIC } }),
        await Inbox.open(connection, { source: { address: topic, ...TOPIC } }),
      ]
      await early.mustAccept(...numbers(1, 3))
      for (const inbox of inboxes)
        assertEqual(
          (await inbox.accept(3)).map(({ body }) => body),
          [1, 2, 3],
          'what a subscriber got',
        )
    }),

  'durable subscription': async () => {
    const topic = fresh('durable')
    const container = { container_id: fresh('subscriber') }
    const target = { address: topic, ...TOPIC }
    await connected(async (connection) => {
      const inbox = await subscribe(connection, 'sub', topic)
      await (await Outbox.open(connection, { target })).mustAccept({ body: 1 })
      await inbox.accept(1)
      await detached(inbox.link, 'receiver', false)
    }, container)
    await connected(async (connection) => (await Outbox.open(connection, { target })).mustAccept({ body: 2 }))
    await connected(async (connection) => {
      const inbox = await subscribe(connection, 'sub', topic)
      assertEqual((await inbox.accept(1))[0]!.body, 2, 'what came in the meantime')
      await detached(inbox.link, 'receiver', false)
    }, container)
    await connected(async (connection) => {
      await unsubscribe(connection, 'sub')
      await mustRefuse(unsubscribe(connection, 'sub'), 'amqp:not-found')
      await (await Outbox.open(connection, { target })).mustAccept({ body: 3 })
      await (await subscribe(connection, 'sub', topic)).mustBeEmpty('the subscription made anew')
      await unsubscribeOpen(connection)
    }, container)

    async function unsubscribeOpen(connection: Connection): Promise<void> {
      const open = connection.find_receiver(({ name }: { name: string }) => name === 'sub')!
      await detached(open, 'receiver', true)
    }
  },

  'shared subscription': async () => {
    const topic = fresh('shared')
    const capabilities = ['shared', 'global']
    const name = `${fresh('shared')}|global`
    await connected((one) =>
      connected(async (other) => {
        const inboxes = [
          await subscribe(one, name, topic, { capabilities }),
          await subscribe(other, name, topic, { capabilities }),
        ]
        for (const { link } of inboxes) link.add_credit(5)
        await (await Outbox.open(one, { target: { address: topic, ...TOPIC } })).mustAccept(...numbers(1, 10))
        const each = await Promise.all(inboxes.map((inbox) => inbox.accept(5)))
        const bodies = each.flat().map(({ body }) => body as number)
        assertEqual(
          bodies.toSorted((a, b) => a - b),
          numbers(1, 10).map(({ body }) => body),
          'what both got',
        )
        for (const { link } of inboxes) await detached(link, 'receiver', false)
        await unsubscribe(one, name, capabilities)
        await mustRefuse(unsubscribe(other, name, capabilities), 'amqp:not-found')
      }),
    )
  },

  'request and reply': () =>
    connected((client) =>
      connected(async (service) => {
        const queue = fresh('requests')
        const replies = await Inbox.open(client, {
          source: {
            dynamic: true,
            capabilities: ['temporary-queue'],
            dynamic_node_properties: {},
          } as unknown as { address: string },
        })
        const { address } = replies
        assert(address !== '' && address !== undefined, 'the temporary queue has no address')
        const request = { body: 'ping', message_id: 'q-1', reply_to: address }
        await (await Outbox.open(client, queue)).mustAccept(request)
        const [got] = await (await Inbox.open(service, queue)).accept(1)
        const answer = { to: got!.reply_to!, correlation_id: got!.message_id!, body: 'pong' }
        await (await Outbox.open(service, got!.reply_to!)).mustAccept(answer)
        const [reply] = await replies.accept(1)
        assertEqual([reply!.body, reply!.correlation_id], ['pong', 'q-1'], 'the reply')
        await replies.close()
        await mustRefuse(Outbox.open(service, address), 'amqp:not-found')
      }),
    ),

  'anonymous producer': () =>
    connected(async (connection) => {
      const relay = await Outbox.open(connection, { target: {} })
      for (const name of ['relay-a', 'relay-b']) {
        const queue = fresh(name)
        const inbox = await Inbox.open(connection, queue)
        await relay.mustAccept({ to: queue, body: name })
        assertEqual((await inbox.accept(1))[0]!.body, name, 'the body')
      }
      assert((await relay.send({ body: 'nowhere' })) !== 'accepted', 'a message to nowhere was accepted')
    }),
}
