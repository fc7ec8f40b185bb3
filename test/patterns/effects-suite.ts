import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Context, connect, type Message, queue } from '../../src/index.ts'
import {
  type EffectContext,
  type EffectHandler,
  EffectNotDone,
  type Inbox,
  openInbox,
  recorded,
  type WhenUnknown,
} from '../../src/patterns/index.ts'
import type { Subject } from './subjects.ts'

const mails = queue<string>('mails', { policy: { backoff: { delay: 0 }, maxDeliveries: 9 } })
const { signal } = new AbortController()

interface Bench {
  readonly mq: Context
  readonly inbox: Inbox
  /** Handles the next message by this handler, and answers it; the message fails when the handler does. */
  handle(handler: EffectHandler<string>, unknown: WhenUnknown<string>): Promise<Message<string>>
}

function bench(subject: Subject, work: (bench: Bench) => Promise<void>): () => Promise<void> {
  return async () => {
    await using opened = await subject.open()
    await using mq = await connect('memory:')
    const inbox = await openInbox({ database: opened.database, consumer: 'mailer' })
    const handle: Bench['handle'] = async (handler, unknown) => {
      const message = (await mq.receive(mails))!
      try {
        await recorded(handler, { inbox, unknown })(message, { signal })
        await message.acknowledge()
      } catch {
        if (!message.settled) await message.fail()
      }
      return message
    }
    await work({ mq, inbox, handle })
  }
}

/** Effects outside of the database: what is on record, and what is made of it. */
export function testEffects(subject: Subject): void {
  const broken = () => {
    throw new Error('the connection broke')
  }

  test(
    'an effect that has ended is not repeated',
    bench(subject, async ({ mq, inbox, handle }) => {
      let effects = 0
      for (let copy = 0; copy < 2; copy++) await mq.send(mails, 'a', { messageId: 'ID:a' })
      for (let copy = 0; copy < 2; copy++) await handle(() => effects++, 'park')
      assert.equal(effects, 1)
      assert.equal(inbox.statistics.duplicates, 1)
    }),
  )

  test(
    "an attempt that did not end, 'park': dead-lettered, and done when somebody redrives it",
    bench(subject, async ({ mq, handle }) => {
      let effects = 0
      await mq.send(mails, 'a')
      await handle(broken, 'park')
      await handle(() => effects++, 'park')
      assert.equal(effects, 0)
      assert.equal(await mq.management.redrive('mails.dlq'), 1)
      await handle(() => effects++, 'park')
      assert.equal(effects, 1)
      assert.equal(await mq.receive(mails, { timeout: 0 }), undefined)
    }),
  )

  test(
    "an attempt that did not end, 'again': it is done again, under the same idempotency key and a higher fence",
    bench(subject, async ({ mq, handle }) => {
      const seen: EffectContext[] = []
      await mq.send(mails, 'a', { messageId: 'ID:a' })
      const failing = (_: Message<string>, context: EffectContext) => {
        seen.push(context)
        if (seen.length < 3) broken()
      }
      for (let attempt = 0; attempt < 3; attempt++) await handle(failing, 'again')
      assert.deepEqual(
        seen.map(({ idempotencyKey }) => idempotencyKey),
        Array(3).fill('mailer/ID:a'),
      )
      assert.deepEqual(
        seen.map(({ fence }) => fence),
        [1, 2, 3],
      )
      assert.equal(await mq.receive(mails, { timeout: 0 }), undefined)
    }),
  )

  test(
    'an attempt that did not end, a function: its answer decides, unknown asks again',
    bench(subject, async ({ mq, handle }) => {
      let effects = 0
      const answers = ['unknown', 'again', 'done'] as const
      let asked = 0
      const find = () => answers[asked++]!
      await mq.send(mails, 'a')
      await handle(broken, find)
      await handle(() => effects++, find)
      assert.deepEqual([asked, effects], [1, 0])
      await handle(broken, find)
      assert.deepEqual([asked, effects], [2, 0])
      await handle(() => effects++, find)
      assert.deepEqual([asked, effects], [3, 0])
      assert.equal(await mq.receive(mails, { timeout: 0 }), undefined)
    }),
  )

  test(
    'EffectNotDone says that it has not happened: then it is done again, without asking anybody',
    bench(subject, async ({ mq, handle }) => {
      let attempts = 0
      await mq.send(mails, 'a')
      const declined = () => {
        if (++attempts < 3) throw new EffectNotDone('declined')
      }
      for (let attempt = 0; attempt < 3; attempt++) await handle(declined, 'park')
      assert.equal(attempts, 3)
      assert.equal(await mq.receive(queue('mails.dlq'), { timeout: 0 }), undefined)
    }),
  )

  test(
    'how to deal with what is unknown has to be said',
    bench(subject, async ({ inbox }) => {
      assert.throws(() => recorded(() => {}, { inbox, unknown: undefined as never }), {
        code: 'argument-invalid',
      })
    }),
  )
}
