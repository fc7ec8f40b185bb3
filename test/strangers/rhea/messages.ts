/** Sizes, numbers, priorities, expiry. */
import { once } from 'node:events'
import rhea, { type Connection } from 'rhea'
import { assertEqual, type Check } from './checks.ts'
import { connected, fresh, Inbox, Outbox } from './client.ts'

const MANY = 10_000

/** As many at a time as there is credit. */
async function sendMany(connection: Connection, queue: string): Promise<void> {
  const outbox = await Outbox.open(connection, queue)
  const outcomes: Promise<string>[] = []
  for (let number = 0; number < MANY; number++) {
    await outbox.ready()
    outcomes.push(outbox.start({ body: number, durable: true }))
  }
  for (const outcome of outcomes) assertEqual(await outcome, 'accepted', 'an outcome')
}

export const contents: Readonly<Record<string, Check>> = {
  'large message': () =>
    connected(
      async (connection) => {
        const queue = fresh('large')
        const body = Buffer.alloc(1024 * 1024, 'millrace ')
        await (await Outbox.open(connection, queue)).mustAccept({ body: rhea.message.data_section(body) })
        const [message] = await (await Inbox.open(connection, queue)).accept(1)
        const content = (message!.body as { content: Buffer }).content
        assertEqual([content.length, content.equals(body)], [body.length, true], 'the body')
      },
      { max_frame_size: 16_384 },
    ),

  'many messages': () =>
    connected(async (connection) => {
      const queue = fresh('many')
      const inbox = await Inbox.open(connection, { source: queue, credit_window: 500 })
      const [, received] = await Promise.all([sendMany(connection, queue), inbox.accept(MANY)])
      received.forEach(({ body }, index) => {
        if (body !== index) assertEqual(body, index, 'the body')
      })
    }),

  priorities: () =>
    connected(async (connection) => {
      const queue = fresh('priorities')
      const outbox = await Outbox.open(connection, queue)
      await outbox.mustAccept(
        ...[1, 9, 5].map((priority) => ({ body: priority, priority })),
        { body: 'none given' },
        { body: 0, priority: 0 },
      )
      const received = await (await Inbox.open(connection, queue)).accept(5)
      assertEqual(
        received.map(({ body }) => body),
        [9, 5, 'none given', 1, 0],
        'the order',
      )
    }),

  'time to live': () =>
    connected(async (connection) => {
      const queue = fresh('ttl')
      const outbox = await Outbox.open(connection, queue)
      await outbox.mustAccept({ body: 'short', ttl: 50 }, { body: 'long', ttl: 600_000 })
      await new Promise((resolve) => setTimeout(resolve, 200))
      const arrivals = await (await Inbox.open(connection, queue)).drain()
      assertEqual(
        arrivals.map(({ message }) => message.body),
        ['long'],
        'what was left',
      )
    }),

  'types survive': () =>
    connected(async (connection) => {
      const queue = fresh('types')
      const annotated = {
        message_annotations: {
          'x-opt-jms-msg-type': rhea.types.wrap_byte(5),
          'x-mine': rhea.types.wrap_symbol('s'),
        },
        application_properties: {
          when: rhea.types.wrap_timestamp(1_700_000_000_000),
          id: rhea.types.wrap_ulong(7),
        },
        footer: { checksum: 'abc' },
        body: rhea.message.sequence_section([1, 2, 3]),
      }
      await (await Outbox.open(connection, queue)).mustAccept(annotated)
      const inbox = await Inbox.open(connection, queue)
      inbox.link.add_credit(1)
      const [{ message }] = await once(inbox.link, 'message')
      assertEqual(message.message_annotations['x-opt-jms-msg-type'], 5, 'the annotation')
      assertEqual(message.footer, { checksum: 'abc' }, 'the footer')
      assertEqual(message.application_properties.id, 7, 'the property')
      assertEqual(message.body.content, [1, 2, 3], 'the body')
    }),
}
