import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Contents } from '../../src/engine/ports/contents.ts'
import { PublishHead } from '../../src/engine/ports/operations.ts'
import { MessageValues } from '../../src/engine/selection-values.ts'

function countingContents(): { readonly asked: string[]; readonly contents: Contents } {
  const asked: string[] = []
  const contents: Contents = {
    property: () => undefined,
    deduplicationId: () => undefined,
    selectable(_format, payload, start, end, identifier) {
      asked.push(identifier)
      return identifier === 'text' ? Buffer.from(payload.subarray(start, end)).toString() : undefined
    },
  }
  return { asked, contents }
}

test('each identifier is decoded once a message, absent ones too, and nothing is kept for the next message', () => {
  const { asked, contents } = countingContents()
  const values = new MessageValues()
  values.reset(contents, new PublishHead(), Buffer.from('one'), true)
  assert.deepEqual(
    [values.lookup('text'), values.lookup('none'), values.lookup('text'), values.lookup('none')],
    ['one', undefined, 'one', undefined],
  )
  assert.deepEqual(asked, ['text', 'none'])
  values.reset(contents, new PublishHead(), Buffer.from('..two..'), true, 2, 5)
  assert.equal(values.lookup('text'), 'two')
})

test('headers that change on the way come from the envelope; the delivery count is NULL (JMS 3.8.1.1, 3.5.11)', () => {
  const { asked, contents } = countingContents()
  const head = new PublishHead()
  head.priority = 7
  const values = new MessageValues().reset(contents, head, Buffer.alloc(0), true)
  assert.equal(values.lookup('JMSPriority'), 7n)
  assert.equal(values.lookup('JMSDeliveryMode'), 'PERSISTENT')
  assert.equal(values.lookup('JMSXDeliveryCount'), undefined)
  assert.equal(
    values.reset(contents, head, Buffer.alloc(0), false).lookup('JMSDeliveryMode'),
    'NON_PERSISTENT',
  )
  assert.deepEqual(asked, [])
})
