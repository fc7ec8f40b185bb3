import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { hashPassword, matches, parseCredentials } from '../../src/server/auth/credentials.ts'
import { Guesses } from '../../src/server/auth/guesses.ts'
import { Passwords } from '../../src/server/auth/passwords.ts'
import { UserPermissions } from '../../src/server/auth/user-permissions.ts'
import type { UserSettings } from '../../src/server/auth/user-settings.ts'
import { RateLimit } from '../../src/server/limits.ts'

suite('the line of a password', () => {
  test('fits its password and no other, by each of its parts', async () => {
    const line = await hashPassword('geheim €')
    for (const part of [line, ...line.split(',')]) {
      const credentials = parseCredentials(part)!
      assert.deepEqual(
        [await matches('geheim €', credentials), await matches('geheim', credentials)],
        [true, false],
      )
    }
    assert.doesNotMatch(line, /geheim/)
    assert.notEqual(line, await hashPassword('geheim €'), 'salted')
  })

  test('what is not such a line is refused, also one that would cost too much', async () => {
    const line = await hashPassword('x')
    const [scrypt, scram] = line.split(',') as [string, string]
    const wrong = [
      '',
      'x',
      'guest',
      `${scrypt},${scrypt}`,
      `${line},`,
      scrypt.slice(0, -4),
      scrypt.replace('$32768$', '$32767$'),
      scrypt.replace('$32768$', `$${2 ** 30}$`),
      scram.replace('$100000$', '$1$'),
      scram.replace('$100000$', '$99999999999$'),
      scrypt.replace('scrypt', 'bcrypt'),
    ]
    for (const each of wrong) assert.equal(parseCredentials(each), undefined, each)
  })
})

suite('passwords', () => {
  test('right, wrong, and of nobody', async () => {
    const passwords = new Passwords([await user('ada', 'right')])
    const tries = [
      ['ada', 'right', true],
      ['ada', 'wrong', false],
      ['bob', 'right', false],
      ['ada', 'right', true],
      ['ada', 'right ', false],
    ] as const
    for (const [name, password, fits] of tries)
      assert.equal(await passwords.check(name, password), fits, `${name} ${password}`)
  })

  test('who comes when too many wait is told to come again', async () => {
    const passwords = new Passwords([], 1)
    const first = passwords.check('x', 'early')
    assert.equal(await passwords.check('x', 'late'), undefined)
    assert.equal(await first, false)
    assert.equal(await passwords.check('x', 'later'), false)
  })
})

suite('guesses', () => {
  test('ten at once, then one every six seconds; others are not affected', () => {
    const guesses = new Guesses()
    for (let i = 0; i < 10; i++) {
      assert.equal(guesses.allows('a', 'ada', 0), true, `${i}`)
      guesses.count('a', 'ada', 0)
    }
    assert.equal(guesses.allows('a', 'ada', 5_999), false)
    assert.equal(guesses.allows('b', 'ada', 0), true, 'from elsewhere')
    assert.equal(guesses.allows('a', 'bob', 0), true, 'somebody else')
    assert.equal(guesses.allows('a', 'ada', 6_000), true)
    guesses.count('a', 'ada', 6_000)
    assert.equal(guesses.allows('a', 'ada', 6_001), false)
    guesses.forget('a', 'ada')
    assert.equal(guesses.allows('a', 'ada', 6_001), true)
  })
})

test('a rate is kept over time, with a second of it saved up', () => {
  const rate = new RateLimit(10, 0)
  const passed = (now: number, tries: number) =>
    Array.from({ length: tries }, () => rate.allows(now)).filter(Boolean).length
  assert.equal(passed(0, 50), 10)
  assert.equal(passed(99, 50), 0)
  assert.equal(passed(500, 50), 5)
  assert.equal(passed(60_000, 50), 10)
})

test('permissions: nothing but what is listed, and temporary destinations', async () => {
  const ada = await user('ada', 'x')
  const permissions = new UserPermissions([
    {
      ...ada,
      permissions: [
        { operations: ['send'], destination: 'orders.#', kind: undefined },
        { operations: ['receive'], destination: 'prices.*', kind: 'topic' },
      ],
    },
  ])
  const cases = [
    ['ada', 'send', 'queue', 'orders', true],
    ['ada', 'send', 'topic', 'orders.eu.paris', true],
    ['ada', 'send', 'queue', 'ordersX', false],
    ['ada', 'receive', 'queue', 'orders', false],
    ['ada', 'receive', 'topic', 'prices.eu', true],
    ['ada', 'receive', 'topic', 'prices.eu.paris', false],
    ['ada', 'receive', 'queue', 'prices.eu', false],
    ['bob', 'send', 'queue', 'orders', false],
    ['', 'send', 'queue', 'orders', false],
    ['ada', 'send', 'queue', 'temp-queue:1234', true],
    ['ada', 'browse', 'queue', 'temp-queue:1234', false],
    ['ada', 'manage', 'queue', '', false],
  ] as const
  for (const [name, operation, kind, destination, permitted] of cases) {
    assert.equal(
      permissions.permits(name, operation, kind, destination),
      permitted,
      `${name} ${operation} ${destination}`,
    )
  }
})

async function user(name: string, password: string): Promise<UserSettings> {
  // The second part is cheaper to try.
  const [, scram] = (await hashPassword(password)).split(',')
  return { name, credentials: parseCredentials(scram!)!, permissions: [] }
}
