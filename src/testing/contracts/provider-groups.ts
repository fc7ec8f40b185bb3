import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Context } from '../../client/context.ts'
import type { Queue } from '../../client/destinations.ts'
import { assertEmpty, contract, deadLettersOf, one, type ProviderSubject } from './provider-subject.ts'

/** Message groups (JMS 3.5.9): one consumer at a time has the messages of a group, in order. */
export function testGroups(subject: ProviderSubject): void {
  contract(
    subject,
    ['policies'],
    'a group stays with its consumer, and changes hands when nothing of it is unsettled',
    async (bench) => {
      const mq = await bench.connect()
      const texts = bench.queue()
      const [first, second] = [await mq.createConsumer(texts), await mq.createConsumer(texts)]
      for (const body of ['a1', 'a2', 'a3']) await mq.send(texts, body, { group: 'a' })
      await mq.send(texts, 'b1', { group: 'b' })
      const held = [await first.receive(), await first.receive(), await first.receive()]
      assert.deepEqual(
        held.map((message) => message!.body),
        ['a1', 'a2', 'a3'],
      )
      assert.equal((await second.receive())!.body, 'b1', 'groups are spread')
      await held[0]!.acknowledge()
      // It keeps what it has shown, and gets nothing more.
      await first.close()
      await mq.send(texts, 'a4', { group: 'a' })
      await held[1]!.acknowledge()
      assert.equal(await second.receiveNoWait(), undefined, 'a3 is with the first one still')
      await held[2]!.acknowledge()
      assert.equal((await second.receive())!.body, 'a4')
    },
  )

  for (const concurrency of [1, 3]) {
    contract(
      subject,
      ['policies', 'redelivery'],
      `a message that fails comes again before those of its group that were fetched; others go on (concurrency ${concurrency})`,
      async (bench) => {
        const mq = await bench.connect()
        const texts = bench.queue({ policy: { maxDeliveries: 3 } })
        await sendGroups(mq, texts)
        const seen: Record<'a' | 'b', string[]> = { a: [], b: [] }
        const worker = mq.consume(texts, { concurrency }, ({ body, groupId }) => {
          seen[groupId as 'a' | 'b'].push(body)
          if (body === 'a2' && seen.a.length < 4) throw new Error('not yet')
          if (body === 'a3') throw new Error('never')
          if (seen.a.length + seen.b.length === 4 + 6 + 4) done.resolve()
        })
        const done = Promise.withResolvers<void>()
        await done.promise
        await worker.close()
        assert.deepEqual(seen.a, ['a1', 'a2', 'a2', 'a2', 'a3', 'a3', 'a3', 'a4', 'a5', 'a6'])
        assert.deepEqual(seen.b, ['b1', 'b2', 'b3', 'b4'])
        assert.equal((await one(mq, deadLettersOf(texts))).body, 'a3')
        await assertEmpty(mq, texts)
      },
    )
  }

  contract(
    subject,
    ['policies', 'redelivery'],
    'a message that is taken back from its handler comes again before those of its group that were fetched',
    async (bench) => {
      const mq = await bench.connect()
      const texts = bench.queue({ policy: { deliveryTimeout: 30, maxDeliveries: 3 } })
      mq.on('error', () => {})
      for (const body of ['a1', 'a2', 'a3']) await mq.send(texts, body, { group: 'a' })
      const seen: string[] = []
      const done = Promise.withResolvers<void>()
      const worker = mq.consume(texts, async ({ body }, { signal }) => {
        seen.push(body)
        if (seen.length === 1) await once(signal, 'abort')
        if (seen.length === 4) done.resolve()
      })
      await done.promise
      await worker.close()
      assert.deepEqual(seen, ['a1', 'a1', 'a2', 'a3'])
    },
  )

  contract(
    subject,
    [],
    'of several handlers of a worker one at a time has a message of a group, the others have other groups',
    async (bench) => {
      const mq = await bench.connect()
      const texts = bench.queue()
      await sendGroups(mq, texts)
      const running = new Set<string>()
      const seen: string[] = []
      const [together, done] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
      const worker = mq.consume(texts, { concurrency: 4 }, async ({ body, groupId }) => {
        assert.ok(!running.has(groupId!), `${body} did not wait`)
        running.add(groupId!)
        if (running.size === 2) together.resolve()
        await together.promise
        running.delete(groupId!)
        if (seen.push(body) === 10) done.resolve()
      })
      await done.promise
      await worker.close()
      for (const group of ['a', 'b']) {
        const bodies = seen.filter((body) => body.startsWith(group))
        assert.deepEqual(bodies, bodies.toSorted())
      }
      await assertEmpty(mq, texts)
    },
  )
}

/** Six messages of group a, four of group b. */
async function sendGroups(mq: Context, to: Queue<string, string>): Promise<void> {
  for (let i = 1; i <= 6; i++) {
    await mq.send(to, `a${i}`, { group: 'a' })
    if (i <= 4) await mq.send(to, `b${i}`, { group: 'b' })
  }
}
