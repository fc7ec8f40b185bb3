import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectSocket } from 'node:net'
import { before, suite, test } from 'node:test'
import type { UserSettings } from '../../src/server/auth/user-settings.ts'
import { ALL, connect, folder, receive, Served, send, user } from './support.ts'

suite('without users', () => {
  test('everybody on this machine may do everything', async (t) => {
    const served = await Served.start(t)
    const byAnonymous = await served.connect(t)
    assert.equal(await send(byAnonymous, 'q', { body: 'hello' }), 'accepted')
    const withoutSasl = await connect(t, { port: served.port })
    const [message] = await receive(withoutSasl, 'q', 1)
    assert.equal(message!.body, 'hello')
  })

  for (const [path, given] of [
    ['host', { host: '0.0.0.0' }],
    ['host', { host: '::', port: 'off' as const }],
    ['http.host', { httpHost: '0.0.0.0' }],
  ] as const) {
    test(`listening further is refused at the start: ${JSON.stringify(given)}`, async (t) => {
      await assert.rejects(Served.start(t, given), (error: Error & { code: string }) => {
        assert.equal(error.code, 'argument-invalid')
        assert.match(error.message, new RegExp(`^${path} is .* there are no users; list some`))
        return true
      })
    })
  }
})

suite('with users', () => {
  let users: UserSettings[]
  before(async () => {
    users = [
      await user('ada', 'right', ALL),
      await user('bob', 'also right', [
        { operations: ['send', 'create'], destination: 'public.#', kind: undefined },
      ]),
    ]
  })

  test('the right password by PLAIN on loopback', async (t) => {
    const served = await Served.start(t, { users })
    const connection = await served.connect(t, { username: 'ada', password: 'right' })
    assert.equal(await send(connection, 'q', { body: 'hello' }), 'accepted')
    assert.deepEqual(
      served.log.of('connected').map(({ user }) => user),
      ['ada'],
    )
  })

  test('a wrong one, a stranger, nobody: told in the words of SASL, logged once, counted', async (t) => {
    const served = await Served.start(t, { users })
    const tries = [
      { username: 'ada', password: 'wrong' },
      { username: 'eve', password: 'right' },
      { username: 'Ada', password: 'right' },
    ]
    for (const login of tries) {
      await assert.rejects(served.connect(t, login), /Failed to authenticate: 1/)
    }
    const failures = served.log.of('login-failed')
    assert.deepEqual(
      failures.map(({ user }) => user),
      ['ada', 'eve', 'Ada'],
    )
    assert.match(String(failures[0]!['remote']), /^127\.0\.0\.1:\d+$/)
    assert.deepEqual(served.log.of('violation'), [])
    assert.match((await served.get('/metrics')).body, /\nmillrace_logins_failed_total 3\n/)
    assert.doesNotMatch(JSON.stringify(served.log.lines), /wrong"|right/, 'no password in the log')
  })

  test('after ten wrong ones the right one must wait, from there', async (t) => {
    const served = await Served.start(t, { users })
    const ada = async (password: string): Promise<string> => {
      try {
        await served.connect(t, { username: 'ada', password })
        return 'in'
      } catch (error) {
        return /authenticate: (\d)/.exec((error as Error).message)![1]!
      }
    }
    // One is forgiven every few seconds, in which a busy machine may not get far.
    let wrong = 0
    const exhaust = async (): Promise<void> => {
      while (wrong++ < 100 && (await ada(`wrong ${wrong}`)) === '1');
    }
    await exhaust()
    assert.ok(wrong > 10 && wrong < 100, `${wrong} wrong ones`)
    let answer = await ada('right')
    for (let again = 0; again < 5 && answer === 'in'; again++) {
      await exhaust()
      answer = await ada('right')
    }
    assert.equal(answer, '4')
    const connection = await served.connect(t, { username: 'bob', password: 'also right' })
    assert(connection.is_open())
  })

  test('who does not say who they are is not let in, with SASL or without', async (t) => {
    const served = await Served.start(t, { users })
    await assert.rejects(served.connect(t), /authenticate|No suitable mechanism/i)
    const socket = connectSocket(served.port, '127.0.0.1')
    socket.write('AMQP\0\x01\0\0')
    const [answer] = await once(socket, 'data')
    assert.deepEqual([...(answer as Buffer).subarray(0, 8)], [...Buffer.from('AMQP\x03\x01\0\0')])
    await once(socket, 'close')
  })

  test('a destination that is not permitted', async (t) => {
    const served = await Served.start(t, { users })
    const connection = await served.connect(t, { username: 'bob', password: 'also right' })
    assert.equal(await send(connection, 'public.news', { body: 'x' }), 'accepted')
    assert.equal(await send(connection, 'secret', { body: 'x' }), 'refused amqp:unauthorized-access')
    const receiver = connection.open_receiver({ source: { address: 'public.news', capabilities: ['queue'] } })
    const [{ receiver: link }] = await once(receiver, 'receiver_error')
    assert.equal(link.error.condition, 'amqp:unauthorized-access')
    assert.equal(
      await send(connection, 'public.more', { body: 'x' }),
      'accepted',
      'the connection is unharmed',
    )
  })

  test('a client that never says anything, or another protocol', async (t) => {
    const served = await Served.start(t, { users, limitsHandshakeTimeout: 300 })
    const silent = connectSocket(served.port, '127.0.0.1')
    const slow = connectSocket(served.port, '127.0.0.1')
    slow.write('AM')
    const other = connectSocket(served.port, '127.0.0.1')
    other.write('GET / HTTP/1.1\r\n\r\n')
    await Promise.all([silent, slow, other].map((socket) => once(socket.resume(), 'close')))
    const began = served.log.of('violation').map((facts) => facts['began'])
    assert(began.includes('GET / HT'), JSON.stringify(began))
  })
})

test('a directory is left to the next', async (t) => {
  const data = folder(t)
  const first = await Served.start(t, { data })
  await assert.rejects(Served.start(t, { data }), { code: 'directory-locked' })
  await first.stop()
  await Served.start(t, { data })
})
