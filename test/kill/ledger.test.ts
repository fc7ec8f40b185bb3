import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { Ledger } from './ledger.ts'
import { TOKENS, TokenLedger } from './tokens.ts'
import { type Place, plan, queuesOf } from './workload.ts'

const SEED = 7

/** The first sequences that `producer` sends to a place. */
function sentTo(place: Place, count: number, producer = 'ada'): number[] {
  const found: number[] = []
  for (let sequence = 1; found.length < count; sequence++) {
    if (plan(SEED, producer, sequence).place === place) found.push(sequence)
  }
  return found
}

const [first, second] = sentTo('orders', 2) as [number, number]
const fanned = sentTo('events', 1)[0]!
const [audit, billing] = queuesOf.events as [string, string]

/** What is wrong with lives of which each was ended by a kill. */
function violations(...lives: string[][]): string[] {
  const ledger = new Ledger(SEED)
  for (const lines of lives) {
    ledger.begin()
    for (const line of lines) ledger.read(line)
    ledger.end()
  }
  return ledger.violations
}

const confirmed = ['ready', `sending ada ${first}`, `confirmed ada ${first}`]
const delivered = `delivered orders ada ${first} 10 1 1 -`
const held = `held orders ada ${first} 10`
const there = [held, 'count orders 1', 'ready']

suite('the kill -9 proof finds', () => {
  test('nothing wrong with a message that was confirmed, is there, and is accepted', () => {
    const accepted = [...there, delivered, `accepting orders ada ${first}`, `accepted orders ada ${first}`]
    assert.deepEqual(violations(confirmed, accepted, ['ready']), [])
  })

  test('nothing wrong with what was in doubt, whichever way it went', () => {
    const doubtful = [...confirmed, delivered, `accepting orders ada ${first}`]
    assert.deepEqual(violations(doubtful, there), [])
    assert.deepEqual(violations(doubtful, ['ready']), [])
    assert.deepEqual(violations(['ready', `sending ada ${first}`], ['ready']), [])
    assert.deepEqual(violations(['ready', `sending ada ${first}`], there), [])
  })

  const wrong: Record<string, [lives: string[][], expected: RegExp]> = {
    'a confirmed message that is lost': [[confirmed, ['ready']], /is lost from orders/],
    'a delivered message that is lost': [
      [['ready', `sending ada ${first}`, delivered], ['ready']],
      /is lost from orders/,
    ],
    'one copy of two that is lost': [
      [
        ['ready', `sending ada ${fanned}`, `confirmed ada ${fanned}`],
        [`held ${audit} ada ${fanned} 10`, 'ready'],
      ],
      new RegExp(`is lost from ${billing}`),
    ],
    'an accepted message that comes back': [
      [[...confirmed, delivered, `accepting orders ada ${first}`, `accepted orders ada ${first}`], there],
      /came back to orders/,
    ],
    'a message that is stored twice': [[confirmed, [held, `held orders ada ${first} 11`]], /as 10 and as 11/],
    'a message that is in its queue and among the dead letters': [
      [
        [...confirmed, delivered, `rejecting orders ada ${first}`],
        [held, `held orders.dlq ada ${first} 12`, 'ready'],
      ],
      /is 2 times in orders/,
    ],
    'a rejected message that is in its queue': [
      [[...confirmed, delivered, `rejecting orders ada ${first}`, `rejected orders ada ${first}`], there],
      /after it was dead-lettered/,
    ],
    'a dead letter without reason': [
      [confirmed, [`held orders.dlq ada ${first} 12`, 'ready']],
      /a dead letter of orders for no reason/,
    ],
    'a delivery of what another consumer holds': [
      [[...confirmed, delivered, `delivered orders ada ${first} 10 2 2 -`]],
      /while it was held/,
    ],
    'first deliveries out of order': [
      [
        [
          ...confirmed,
          `sending ada ${second}`,
          `delivered orders ada ${second} 11 1 1 -`,
          `delivered orders ada ${first} 10 1 1 -`,
        ],
      ],
      /came from orders after/,
    ],
    'a failure that was forgotten': [
      [
        [...confirmed, delivered, `failing orders ada ${first}`, `failed orders ada ${first}`],
        [...there, delivered],
      ],
      /failed 1 times and shows 1 deliveries/,
    ],
    'a count that does not fit': [[confirmed, [held, 'count orders 2']], /shows 1 messages and counts 2/],
    'an identity that forgot a sequence': [
      [confirmed, [...there, `last ada ${first - 1}`]],
      /ada stored up to/,
    ],
    'a message that nobody sent': [[['held orders bob 1 10']], /was never sent there/],
    'what a child says itself': [[['problem the body is not what was sent']], /not what was sent/],
  }
  for (const [what, [lives, expected]] of Object.entries(wrong)) {
    test(what, () => assert.match(violations(...lives)[0] ?? 'nothing', expected))
  }
})

suite('what the account of the tokens that transactions carry would say', () => {
  const all = Array.from({ length: TOKENS }, (_, number) => `token ${number} 0`)
  const minted = ['minting', 'minted', ...all, 'ready', 'carrying 0 1', 'carrying 1 1']

  for (const [what, lines, says] of [
    ['all there', ['carried 0 1', 'token 0 1', ...all.slice(1), 'ready'], []],
    ['an unanswered commit that happened', ['token 0 1', 'token 1 1', ...all.slice(2), 'ready'], []],
    ['one missing', [...all.slice(1), 'ready'], [/11 of 12/]],
    ['one twice', [...all, 'token 0 1', 'ready'], [/token 0 is there 2 times/]],
    ['a confirmed commit undone', ['carried 0 1', ...all, 'ready'], [/token 0 was carried 0 times/]],
    [
      'a commit that nobody asked for',
      [...all.slice(1), 'token 0 2', 'ready'],
      [/token 0 was carried 2 times/],
    ],
  ] as const) {
    test(what, () => {
      const tokens = new TokenLedger()
      for (const line of minted) tokens.read(line)
      tokens.begin()
      for (const line of lines) tokens.read(line)
      assert.equal(tokens.violations.length, says.length, tokens.violations.join('; '))
      for (const [i, pattern] of says.entries()) assert.match(tokens.violations[i]!, pattern)
    })
  }
})
