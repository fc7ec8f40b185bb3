import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { composite, connect, type PolicyOptions, queue, topic } from '../../src/index.ts'
import {
  batchConsumer,
  type Explanation,
  explainConsumer,
  explainProducer,
  shapedConsumer,
  shapedProducer,
} from '../../src/patterns/index.ts'
import { testBroker } from '../../src/testing/index.ts'

/** Asserts that some sentence of a part says it. */
function says(sentences: readonly string[], what: RegExp): void {
  assert.ok(
    sentences.some((sentence) => what.test(sentence)),
    `${what} is not among:\n${sentences.join('\n')}`,
  )
}

function doesNotSay(sentences: readonly string[], what: RegExp): void {
  assert.ok(!sentences.some((sentence) => what.test(sentence)), `${what} is among:\n${sentences.join('\n')}`)
}

suite('explain: a producer', () => {
  test('what its level means, by what the broker keeps', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-explain-'))
    t.after(() => rmSync(folder, { recursive: true }))
    const lostWith = async (url: string, durability: 'disk' | 'os' | 'memory') => {
      await using mq = await connect(url)
      return (await explainProducer(mq, queue('q'), { durability })).lost
    }
    says(await lostWith(`file:${folder}`, 'disk'), /one copy/)
    says(await lostWith(`file:${folder}`, 'os'), /power cut.*kill -9 does not/)
    says(await lostWith(`file:${folder}`, 'memory'), /lost when the broker ends/)
    says(await lostWith('memory:', 'disk'), /keeps everything in memory/)
    doesNotSay(await lostWith('memory:', 'disk'), /one copy/)
  })

  test('the policy that counts is that of the broker, not the one the program would like', async () => {
    await using t = await testBroker({
      broker: { policies: [{ match: 'q', policy: { ttl: 60_000, expired: '{queue}.late' } }] },
    })
    await t.mq.send(queue('q'), 1)
    const wish = queue('q', { policy: { ttl: '5m', maxMessages: 3 } })
    const real = await explainProducer(t.mq, wish)
    says(real.lost, /within 1 min, it expires, and goes to the queue q\.late/)
    doesNotSay(real.until, /Beyond 3 messages|does not exist/)
    const other = queue('other', { policy: { ttl: '5m', maxMessages: 3 } })
    const planned = await explainProducer(t.mq, other)
    says(planned.lost, /within 5 min, it expires, and is dropped/)
    says(planned.until, /Beyond 3 messages a send is held for 30 s/)
    says(planned.until, /does not exist yet/)
  })

  test('each of what a queue may do with messages', async () => {
    await using t = await testBroker()
    const cases: [PolicyOptions, keyof Explanation, RegExp][] = [
      [{ maxMessages: 9, overflow: 'drop-oldest' }, 'lost', /Beyond 9 messages the oldest are dropped/],
      [{ maxBytes: 10, overflow: 'reject' }, 'until', /Beyond 10 bytes a send is refused/],
      [{ maxMessages: 9, overflow: 'dead-letter' }, 'until', /oldest become dead letters/],
      [{ maxMessages: 9, blockTimeout: '2m' }, 'until', /held for 2 min, and refused/],
      [{ lastValue: 'symbol' }, 'lost', /property symbol replaces it/],
      [
        { deduplication: { window: '1h', count: 5 } },
        'duplicated',
        /unless both bear the same deduplicationId/,
      ],
      [{ deduplication: { window: '1h', count: 5 } }, 'until', /remembered for 1 h, and 5 of them/],
      [{}, 'until', /no bound of its own/],
      [{}, 'until', /until it is consumed/],
    ]
    for (const [i, [policy, part, what]] of cases.entries()) {
      const each = queue(`q${i}`, { policy })
      await t.mq.declare(each)
      says((await explainProducer(t.mq, each))[part] as string[], what)
      const plain = queue(`plain${i}`)
      if (Object.keys(policy).length > 0)
        doesNotSay((await explainProducer(t.mq, plain))[part] as string[], what)
    }
  })

  test('an identity, a delay, a topic, a composite, a shape', async () => {
    await using t = await testBroker()
    const identified = await explainProducer(t.mq, queue('q'), { id: 'import', delay: '15m', ttl: '2h' })
    says(identified.duplicated, /unless it has the same sequence/)
    says(identified.order, /15 min after its call/)
    says(identified.lost, /within 2 h/)
    says((await explainProducer(t.mq, topic('t'))).lost, /not subscribed/)
    const both = await explainProducer(t.mq, composite(queue('a'), topic('b')))
    says(both.until, /All 2 destinations store a message, or none/)
    says(both.lost, /topic b/)
    const producer = await shapedProducer(t.mq, queue('q'), {
      maxInFlight: 7,
      deadline: '3s',
      durability: 'os',
    })
    const shaped = await producer.explain()
    says(shaped.until, /At most 7 are in flight; one waits for room for 3 s/)
    says(shaped.order, /refused for want of room/)
    says(shaped.lost, /keeps everything in memory/)
    const single = await shapedProducer(t.mq, queue('q'), { maxInFlight: 1 })
    doesNotSay((await single.explain()).order, /refused for want of room/)
  })
})

suite('explain: a consumer', () => {
  test('redelivery as the queue has it', async () => {
    await using t = await testBroker()
    const backoff = { delay: '10s', multiplier: 2, maxDelay: '1m' }
    const policy = { maxDeliveries: 5, backoff, deadLetter: 'graves', deliveryTimeout: '30s' } as const
    const jobs = queue('jobs', { policy })
    await t.mq.declare(jobs)
    const told = await explainConsumer(t.mq, jobs)
    // 10 + 20 + 40 + 60 s
    says(told.until, /has failed 5 times, 2\.2 min after the first at the longest.*in the queue graves/)
    says(told.duplicated, /longer than 30 s goes to somebody else/)
    says(told.order, /one after the other/)
    const forever = queue('forever', { policy: { maxDeliveries: Number.POSITIVE_INFINITY } })
    await t.mq.declare(forever)
    says((await explainConsumer(t.mq, forever)).until, /comes again for ever; one that is rejected/)
    const kept = queue('kept', { policy: { deadLetter: false } })
    await t.mq.declare(kept)
    says((await explainConsumer(t.mq, kept)).until, /no dead-letter queue/)
  })

  test('how it acknowledges decides what is lost and what comes again', async () => {
    await using t = await testBroker()
    const of = async (acknowledge?: 'auto' | 'dups-ok' | 'transacted' | 'individual') =>
      explainConsumer(t.mq, queue('q'), { acknowledge })
    assert.deepEqual((await of()).lost, [])
    says((await of()).duplicated, /guarded by an inbox/)
    says((await of('auto')).lost, /acknowledged before it is received/)
    says((await of('dups-ok')).lost, /as it is received/)
    assert.deepEqual((await of('transacted')).lost, [])
    says((await of('transacted')).duplicated, /together or not at all/)
    says((await explainConsumer(t.mq, topic('t'))).lost, /while this consumer is not there/)
  })

  test('a shaped one knows its shape, and who else is there', async () => {
    await using t = await testBroker()
    const jobs = queue<number>('jobs')
    const options = {
      concurrency: { min: 2, max: 9 },
      ratePerKey: { perSecond: 1 },
      breaker: true,
    }
    const consumer = shapedConsumer(t.mq, jobs, options, () => {})
    const alone = await consumer.explain()
    says(alone.order, /up to 9 messages at once/)
    says(alone.order, /key is too fast/)
    says(alone.until, /circuit breaker/)
    doesNotSay(alone.order, /other consumer/)
    const other = batchConsumer(t.mq, jobs, { batch: { size: 10, isolate: false }, concurrency: 2 }, () => {})
    const batches = await other.explain()
    says(batches.order, /1 other consumer shares/)
    says(batches.order, /up to 2 batches at once/)
    says(batches.duplicated, /all its messages come again/)
    doesNotSay(batches.order, /key is too fast/)
    doesNotSay(batches.until, /circuit breaker/)
    const single = queue('single', { policy: { singleActiveConsumer: true } })
    await t.mq.declare(single)
    says((await explainConsumer(t.mq, single)).order, /One consumer at a time/)
  })

  test('all of it can be read', async () => {
    await using t = await testBroker()
    const told = await explainConsumer(t.mq, queue('jobs', { policy: { maxDeliveries: 2 } }))
    assert.equal(`${told}`, told.text)
    assert.equal(
      told.text,
      `Consuming from the queue jobs

What may be lost
  - Nothing.
What may be there twice
  - A message is accepted after its handler has returned; one that was handled comes again when the process, the connection or the broker ends before that is on disk, or the handler throws: its effect has to be repeatable, or guarded by an inbox.
In which order
  - Here one after the other, in the order of the queue: by priority, then by age.
  - A message that fails is passed by others while it waits, except by members of its group.
  - Other consumers of the queue, if there come to be any, share it without order among them.
Until when
  - A message comes again until it is accepted, or has failed 2 times, 1 s after the first at the longest, without the time in handlers; then it is a dead letter in the queue jobs.dlq, until somebody redrives it.
`,
    )
  })
})
