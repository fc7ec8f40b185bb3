/** Selectors of the JMS mapping on queues, topics, subscriptions and browsers. */
import rhea, { type Connection, type Message } from 'rhea'
import { assertEqual, type Check } from './checks.ts'
import { connected, detached, fresh, Inbox, mustRefuse, Outbox } from './client.ts'

const { filter, types } = rhea

/** Its code and its symbol both name the filter; the key in the set is the client's affair. */
const NO_LOCAL = { 'no-local': types.wrap_described([], 0x468c_0000_0003) }

function selector(text: string): Record<string, unknown> {
  return filter.selector(text) as Record<string, unknown>
}

const sized = (...sizes: number[]): Message[] =>
  sizes.map((size) => ({ body: size, durable: true, application_properties: { size } }))

const bodies = (messages: readonly Message[]): unknown[] => messages.map(({ body }) => body)

interface SourceOptions {
  readonly name?: string
  readonly [field: string]: unknown
}

function receiver(
  connection: Connection,
  address: string,
  { name, ...source }: SourceOptions,
): Promise<Inbox> {
  return Inbox.open(connection, { ...(name === undefined ? {} : { name }), source: { address, ...source } })
}

export const selectors: Readonly<Record<string, Check>> = {
  'selector on a queue': () =>
    connected(async (connection) => {
      const queue = fresh('select')
      const large = await receiver(connection, queue, { filter: selector('size > 10') })
      const echoed = large.link.source.filter as Record<string, { value?: unknown } | undefined>
      assertEqual(echoed?.['jms-selector']?.value, 'size > 10', 'the filter in the answer')
      await (await Outbox.open(connection, queue)).mustAccept(...sized(1, 20, 2, 30))
      assertEqual(bodies(await large.accept(2)), [20, 30], 'what was selected')
      await large.mustBeEmpty('the queue for the selector')
      const named = { mine: types.wrap_described('size = 2', 'apache.org:selector-filter:string') }
      const two = await receiver(connection, queue, { filter: named })
      assertEqual(bodies(await two.accept(1)), [2], 'what was selected under a name of our own')
      assertEqual(bodies(await (await Inbox.open(connection, queue)).accept(1)), [1], 'what was left')
    }),

  'selector on a topic': () =>
    connected(async (connection) => {
      const address = fresh('select')
      const capabilities = ['topic']
      const large = await receiver(connection, address, { capabilities, filter: selector('size > 10') })
      const all = await receiver(connection, address, { capabilities })
      const outbox = await Outbox.open(connection, { target: { address, capabilities } })
      await outbox.mustAccept(...sized(1, 20, 30))
      assertEqual(bodies(await large.accept(2)), [20, 30], 'what was selected')
      await large.mustBeEmpty('the subscription')
      assertEqual(bodies(await all.accept(3)), [1, 20, 30], 'what the other got')
    }),

  'selector of a durable subscription': async () => {
    const address = fresh('select-durable')
    const durable = { name: 'sub', capabilities: ['topic'], durable: 2, expiry_policy: 'never' }
    await connected(
      async (connection) => {
        const outbox = await Outbox.open(connection, { target: { address, capabilities: ['topic'] } })
        const large = await receiver(connection, address, { ...durable, filter: selector('size > 10') })
        await detached(large.link, 'receiver', false)
        await outbox.mustAccept(...sized(1, 20))
        const again = await receiver(connection, address, { ...durable, filter: selector('size > 10') })
        assertEqual(bodies(await again.accept(1)), [20], 'what came in the meantime')
        await again.mustBeEmpty('the subscription')
        await detached(again.link, 'receiver', false)
        await outbox.mustAccept(...sized(21))
        // Another selector is another subscription in its place.
        const small = await receiver(connection, address, { ...durable, filter: selector('size < 10') })
        await outbox.mustAccept(...sized(2, 22))
        assertEqual(bodies(await small.accept(1)), [2], 'what the new selector let in')
        await small.mustBeEmpty('the subscription made anew')
        await small.close()
      },
      { container_id: fresh('selecting') },
    )
  },

  'browse with a selector': () =>
    connected(async (connection) => {
      const queue = fresh('browse-select')
      await (await Outbox.open(connection, queue)).mustAccept(...sized(1, 20, 2, 30))
      const copy = { distribution_mode: 'copy', filter: selector('size > 10') }
      const browser = await receiver(connection, queue, copy)
      const seen = await browser.drain()
      assertEqual(bodies(seen.map(({ message }) => message)), [20, 30], 'what the browser saw')
      await browser.close()
      assertEqual(
        bodies(await (await Inbox.open(connection, queue)).accept(4)),
        [1, 20, 2, 30],
        'what was left',
      )
    }),

  'invalid selector': () =>
    connected(async (connection) => {
      const queue = fresh('invalid')
      for (const wrong of ['size >', "name = 'open", 'a b', 'NOT'])
        await mustRefuse(receiver(connection, queue, { filter: selector(wrong) }), 'amqp:invalid-field')
      const wrong = { distribution_mode: 'copy', filter: selector('(size') }
      await (await Outbox.open(connection, queue)).mustAccept(...sized(1))
      await mustRefuse(receiver(connection, queue, wrong), 'amqp:invalid-field')
      assertEqual(bodies(await (await Inbox.open(connection, queue)).accept(1)), [1], 'what came afterwards')
    }),

  'no local': () =>
    connected((own) =>
      connected(async (other) => {
        const address = fresh('local')
        const capabilities = ['topic']
        const inbox = await receiver(own, address, { capabilities, filter: NO_LOCAL })
        const target = { address, capabilities }
        await (await Outbox.open(own, { target })).mustAccept(...sized(1))
        await (await Outbox.open(other, { target })).mustAccept(...sized(2))
        assertEqual(bodies(await inbox.accept(1)), [2], 'what came')
        await inbox.mustBeEmpty('the subscription')
      }),
    ),
}
