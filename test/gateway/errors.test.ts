import { strict as assert } from 'node:assert'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { amqpError } from '../../src/gateway/amqp10/errors.ts'
import { type ErrorCode, errorCatalogue, MillraceError } from '../../src/model/errors.ts'

test('the conditions of errors are those of docs/spec/amqp.md', () => {
  const page = readFileSync(new URL('../../docs/spec/amqp.md', import.meta.url), 'utf8')
  const table = page.split('\n## ').find((section) => section.startsWith('Errors'))!
  const conditions = new Map<string, string>()
  for (const [, codes, condition] of table.matchAll(/^\| ([a-z, -]+) \| `([a-z:-]+)` \|$/gm)) {
    for (const code of codes!.split(', ')) conditions.set(code, condition!)
  }
  assert.ok(conditions.size > 10)
  for (const code of Object.keys(errorCatalogue) as ErrorCode[]) {
    const error = amqpError(new MillraceError(code, 'why'))
    assert.equal(error.condition, conditions.get(code) ?? conditions.get('all others'), code)
    assert.equal(error.info?.get('millrace:code'), code)
    assert.equal(error.info?.get('millrace:retryable'), errorCatalogue[code].retryable)
  }
})
