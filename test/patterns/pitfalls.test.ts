import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { test } from 'node:test'
import { readText } from '../../tools/house/repository.ts'

/** Where outboxes and inboxes go wrong, in the numbers by which tests are called. */
const pitfalls: readonly string[] = [
  'sequences have gaps: rows that commit late are passed over',
  'passing over locked rows breaks the order',
  'notifications at commit lock the whole database',
  'idle polling costs',
  'a transaction stays open while something is sent',
  'a send that nobody has confirmed',
  'tables that grow',
  'duplicates are told by content, or by the id alone',
  'duplicates are forgotten before they come',
  'a poison row blocks everybody, or nobody',
  'an old handler goes on after its delivery is lost',
  'a database for each tenant: too many connections',
  'acknowledged before it is done',
  'an outbox in memory',
  'clocks that jump and differ',
]

test('each pitfall has a test of its number', () => {
  const files = readdirSync(new URL('.', import.meta.url)).filter((name) => name !== 'pitfalls.test.ts')
  const texts = files.filter((name) => name.endsWith('.ts')).map((name) => readText(`test/patterns/${name}`))
  const named = new Set(
    [...texts.join('\n').matchAll(/'pitfall ([\d and]+):/g)].flatMap(([, numbers]) =>
      numbers!.split(' and ').map(Number),
    ),
  )
  const missing = pitfalls.filter((_, index) => !named.has(index + 1))
  assert.deepEqual(missing, [])
})
