import assert from 'node:assert/strict'
import type { StandardSchema } from '../../client/standard-schema.ts'
import { assertEmpty, contract, deadLettersOf, one, type ProviderSubject } from './provider-subject.ts'

/** Requests and replies over temporary queues. */
export function testRequests(subject: ProviderSubject): void {
  contract(subject, ['temporaryDestinations'], 'each of many requests gets its own reply', async (bench) => {
    const [asking, serving] = [await bench.connect(), await bench.connect()]
    const squares = bench.queue<number>()
    await serving.serve(squares, { concurrency: 8 }, async ({ body }) => {
      // Replies come in another order than the requests.
      for (let turns = body % 7; turns > 0; turns--) await Promise.resolve()
      return body * body
    }).ready
    const numbers = Array.from({ length: 100 }, (_, i) => i)
    const replies = await Promise.all(
      numbers.map((number) => asking.request<number, number>(squares, number)),
    )
    assert.deepEqual(
      replies.map(({ body }) => body),
      numbers.map((number) => number * number),
    )
    assert.deepEqual(asking.requests, { outstanding: 0, late: 0 })
    await assertEmpty(serving, squares)
  })

  contract(
    subject,
    ['temporaryDestinations', 'ttl'],
    'a request lives as long as its timeout, carries what send takes, and its reply names it',
    async (bench) => {
      const [asking, serving] = [await bench.connect(), await bench.connect()]
      const questions = bench.queue()
      const asked = asking.request(questions, 'why', { timeout: '1m', properties: { n: 1 }, priority: 7 })
      const request = await one(serving, questions)
      assert.equal(request.replyTo?.kind, 'temporary-queue')
      assert.deepEqual([request.priority, request.property('n')], [7, 1])
      const lifetime = request.expiration! - request.timestamp!
      assert.ok(lifetime > 50_000 && lifetime < 70_000, `it lives for ${lifetime} ms`)
      await serving.send(request.replyTo!, 'because', { correlationId: request.messageId })
      assert.equal((await asked).body, 'because')
    },
  )

  contract(
    subject,
    ['temporaryDestinations'],
    'without reply in time: timeout, and what comes late is dropped and counted',
    async (bench) => {
      const [asking, serving] = [await bench.connect(), await bench.connect()]
      const questions = bench.queue()
      const gate = Promise.withResolvers<void>()
      serving.serve(questions, async ({ body }) => {
        if (body === 'first') await gate.promise
        return body
      })
      // What is asked from here on is sent before its time is up.
      await asking.request(questions, 'before')
      const hurried = asking.request(questions, 'first', { timeout: 20, ttl: '1h' })
      await assert.rejects(hurried, { code: 'timeout' })
      const aborter = new AbortController()
      const abandoned = asking.request(questions, 'second', { signal: aborter.signal })
      aborter.abort(new Error('enough'))
      await assert.rejects(abandoned, /enough/)
      gate.resolve()
      assert.equal((await asking.request(questions, 'third')).body, 'third')
      // Whether the second had been sent when it was given up, depends on who was quicker.
      assert.ok(asking.requests.late >= 1, 'the reply to the first came before that to the third')
      assert.equal(asking.requests.outstanding, 0)
      await assert.rejects(asking.request(questions, 'x', { timeout: 'soon' }), { code: 'duration-invalid' })
    },
  )

  contract(
    subject,
    ['temporaryDestinations', 'transactions'],
    'a request in a transaction is sent at once, since its reply is waited for before the commit',
    async (bench) => {
      const mq = await bench.connect()
      const questions = bench.queue<number>()
      mq.serve(questions, ({ body }) => body + 1)
      const replies = await mq.transaction(async (tx) => [
        await tx.request<number, number>(questions, 1),
        await tx.request<number, number>(questions, 2),
      ])
      assert.deepEqual(
        replies.map(({ body }) => body),
        [2, 3],
      )
    },
  )

  contract(subject, ['temporaryDestinations'], 'closing rejects the requests that wait', async (bench) => {
    const mq = await bench.connect()
    const waiting = [1, 2].map((n) => mq.request(bench.queue<number>(), n))
    const outcomes = Promise.allSettled(waiting)
    await mq.close()
    for (const outcome of await outcomes) {
      assert.equal(outcome.status === 'rejected' && (outcome.reason as { code?: string }).code, 'closed')
    }
    await assert.rejects(mq.request(bench.queue(), 'x'), { code: 'closed' })
  })

  contract(
    subject,
    ['temporaryDestinations'],
    'a request that is refused, or whose reply does not fit, rejects with the reason',
    async (bench) => {
      const mq = await bench.connect()
      const questions = bench.queue<unknown>()
      mq.serve(questions, ({ body }) => body)
      await assert.rejects(mq.request(questions, 1n), { code: 'message-invalid' })
      await assert.rejects(mq.request('questions' as never, 1), { code: 'destination-invalid' })
      for (const late of [false, true]) {
        const reply = numbersOnly(late)
        const doubled: number = (await mq.request(questions, 21, { reply })).body
        assert.equal(doubled, 42, 'the output of the schema')
        await assert.rejects(mq.request(questions, 'text', { reply }), {
          code: 'message-invalid',
          message: /not a number/,
        })
      }
    },
  )

  testServing(subject)
}

/** A schema as a library would make one: numbers, doubled. */
function numbersOnly(late: boolean): StandardSchema<unknown, number> {
  const check = (value: unknown) =>
    typeof value === 'number' ? { value: value * 2 } : { issues: [{ message: 'not a number' }] }
  const validate = (value: unknown) => (late ? Promise.resolve(check(value)) : check(value))
  return { '~standard': { version: 1, vendor: 'contract', validate } }
}

function testServing(subject: ProviderSubject): void {
  contract(
    subject,
    ['temporaryDestinations', 'redelivery'],
    'a responder that throws gets the request again, and then answers it',
    async (bench) => {
      const mq = await bench.connect()
      const questions = bench.queue()
      const counts: number[] = []
      mq.serve(questions, ({ deliveryCount }) => {
        if (counts.push(deliveryCount) < 3) throw new Error('not yet')
        return 'at last'
      })
      assert.equal((await mq.request(questions, 'x')).body, 'at last')
      assert.deepEqual(counts, [1, 2, 3])
    },
  )

  contract(
    subject,
    ['temporaryDestinations', 'redelivery'],
    'a reply that can never be sent dead-letters the request, after one attempt',
    async (bench) => {
      const mq = await bench.connect()
      const questions = bench.queue()
      let attempts = 0
      mq.serve(questions, () => {
        attempts++
        return 1n
      })
      const waiting = mq.request(questions, 'x').catch(() => {})
      const dead = await one(mq, deadLettersOf(questions))
      assert.match(dead.deadLetter!.description, /the reply could not be sent/)
      assert.equal(attempts, 1)
      await mq.close()
      await waiting
    },
  )

  contract(
    subject,
    ['temporaryDestinations'],
    'a request whose sender has gone, has no reply-to, or was settled by the responder, is done and not answered',
    async (bench) => {
      const [asking, serving] = [await bench.connect(), await bench.connect()]
      const questions = bench.queue()
      const gate = Promise.withResolvers<void>()
      const seen: string[] = []
      const worker = serving.serve(questions, async (request) => {
        seen.push(request.body)
        if (request.body === 'leaving') await gate.promise
        if (request.body === 'settled') await request.acknowledge()
        return request.body
      })
      const waiting = asking.request(questions, 'leaving').catch(() => {})
      while (seen.length === 0) await new Promise((resolve) => setImmediate(resolve))
      await asking.close()
      await waiting
      gate.resolve()
      await serving.send(questions, 'one way')
      const aborter = new AbortController()
      const unanswered = serving.request(questions, 'settled', { signal: aborter.signal })
      assert.equal((await serving.request(questions, 'last')).body, 'last')
      aborter.abort(new Error('enough'))
      await assert.rejects(unanswered, /enough/)
      await worker.close()
      assert.deepEqual(seen, ['leaving', 'one way', 'settled', 'last'])
      assert.equal(serving.requests.late, 0)
      for (const each of [questions, deadLettersOf(questions)]) await assertEmpty(serving, each)
    },
  )

  contract(
    subject,
    ['temporaryDestinations'],
    'a correlation id of the one who asks comes back, to any queue',
    async (bench) => {
      const mq = await bench.connect()
      const [questions, answers] = [bench.queue(), bench.queue()]
      await mq.declare(answers)
      mq.serve(questions, ({ body }) => body.toUpperCase())
      await mq.send(questions, 'x', { replyTo: answers, correlationId: 'order 7' })
      const answer = await one(mq, answers)
      assert.deepEqual([answer.body, answer.correlationId], ['X', 'order 7'])
      const { messageId } = await mq.send(questions, 'y', { replyTo: answers })
      assert.equal((await one(mq, answers)).correlationId, messageId)
    },
  )
}
