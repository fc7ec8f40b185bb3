import assert from 'node:assert/strict'
import type { StandardSchema } from '../../client/standard-schema.ts'
import { assertEmpty, contract, deadLettersOf, one, type ProviderSubject, take } from './provider-subject.ts'

/** A schema as a library would make one: text of digits in, number out. */
function digits(late: boolean): StandardSchema<string, number> {
  const check = (value: unknown) =>
    typeof value === 'string' && /^\d+$/.test(value)
      ? { value: Number(value) }
      : { issues: [{ message: 'not digits', path: ['body'] }] }
  const validate = (value: unknown) => (late ? Promise.resolve(check(value)) : check(value))
  return { '~standard': { version: 1, vendor: 'contract', validate } }
}

/** Bodies are validated where they are sent and where they are received. */
export function testSchemas(subject: ProviderSubject): void {
  for (const late of [false, true]) {
    const kind = late ? 'an asynchronous' : 'a synchronous'

    contract(
      subject,
      [],
      `with ${kind} schema an invalid body is not sent, in order with valid ones`,
      async (bench) => {
        const mq = await bench.connect()
        const numbers = bench.queue({ body: digits(late) })
        const sent = ['1', 'no', '2', '3'].map((body) => mq.send(numbers, body))
        const outcomes = await Promise.allSettled(sent)
        assert.deepEqual(
          outcomes.map(({ status }) => status),
          ['fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
        )
        await assert.rejects(sent[1]!, { code: 'message-invalid', message: /body: not digits/ })
        const received = await take(mq, numbers, 3)
        assert.deepEqual(
          received.map(({ body }) => body),
          [1, 2, 3],
          'what is received is the output of the schema',
        )
      },
    )

    contract(
      subject,
      ['redelivery'],
      `with ${kind} schema an invalid body is dead-lettered at once`,
      async (bench) => {
        const mq = await bench.connect()
        const numbers = bench.queue({ body: digits(late) })
        const raw = { kind: 'queue', name: numbers.name } as const
        await assertEmpty(mq, numbers)
        for (const body of ['1', 'no', '2']) await mq.send(raw, body)
        const received = await take(mq, numbers, 2)
        assert.deepEqual(
          received.map(({ body }) => body),
          [1, 2],
        )
        const dead = await one(mq, deadLettersOf(raw))
        assert.deepEqual([dead.body, dead.deadLetter?.reason], ['no', 'invalid-body'])
        assert.match(dead.deadLetter!.description, /not digits/)
      },
    )
  }
}
