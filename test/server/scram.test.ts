import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { hostCrypto } from '../../src/client/amqp/crypto.ts'
import { Authenticator } from '../../src/server/auth/authenticator.ts'
import { hashPassword, parseCredentials } from '../../src/server/auth/credentials.ts'
import type { UserSettings } from '../../src/server/auth/user-settings.ts'
import type { SaslServer, SaslStep } from '../../src/wire/amqp10/sasl/sasl.ts'
import { ScramClient } from '../../src/wire/amqp10/sasl/scram.ts'
import { ALL, connect, Log, Served, send, user } from './support.ts'

/** Logs in as a client would, and answers the last word of the server. */
async function logIn(server: SaslServer, name: string, password: string): Promise<SaslStep> {
  const client = new ScramClient(hostCrypto, name, password)
  let step = await server.start('SCRAM-SHA-256', client.initial(), '')
  while (step.kind === 'challenge') step = await server.next(await client.next(step.bytes))
  if (step.kind === 'done') client.finish(step.bytes ?? null)
  return step
}

function entrance(users: readonly UserSettings[], log: Log, secure = true): () => SaslServer {
  return new Authenticator(users, log).entryFor('10.0.0.1:5', false, secure).sasl!
}

suite('SCRAM-SHA-256', () => {
  test('the right password, a wrong one, and a user who does not exist', async () => {
    const log = new Log()
    const sasl = entrance([await user('a,b=c', 'right', ALL)], log)
    assert.deepEqual(await logIn(sasl(), 'a,b=c', 'right'), { kind: 'done', identity: 'a,b=c' })
    assert.deepEqual(await logIn(sasl(), 'a,b=c', 'wrong'), { kind: 'failed', code: 1 })
    assert.deepEqual(await logIn(sasl(), 'eve', 'right'), { kind: 'failed', code: 1 })
    assert.deepEqual(
      log.of('login-failed').map(({ user: name }) => name),
      ['a,b=c', 'eve'],
    )
  })

  test('who does not exist gets the same salt each time, also from another process', async () => {
    const users = [await user('ada', 'right', ALL)]
    const salts = new Set<string>()
    for (let i = 0; i < 3; i++) {
      const step = await entrance(users, new Log())().start('SCRAM-SHA-256', Buffer.from('n,,n=eve,r=x'), '')
      assert(step.kind === 'challenge')
      salts.add(/s=([^,]+)/.exec(Buffer.from(step.bytes).toString())![1]!)
    }
    assert.equal(salts.size, 1)
  })

  test('after ten wrong passwords the right one must wait', async () => {
    const sasl = entrance([await user('ada', 'right', ALL)], new Log())
    for (let i = 0; i < 10; i++)
      assert.deepEqual(await logIn(sasl(), 'ada', 'x'), { kind: 'failed', code: 1 })
    assert.deepEqual(await logIn(sasl(), 'ada', 'right'), { kind: 'failed', code: 4 })
  })

  test('what is offered: PLAIN only where nobody can read it, SCRAM where somebody has keys', async () => {
    const both = await user('ada', 'right', ALL)
    const [scrypt] = (await hashPassword('right')).split(',')
    const plainOnly = { ...both, credentials: parseCredentials(scrypt!)! }
    const offered = (users: readonly UserSettings[], secure: boolean) =>
      entrance(users, new Log(), secure)().mechanisms()
    assert.deepEqual(offered([both], true), ['SCRAM-SHA-256', 'PLAIN'])
    assert.deepEqual(offered([both], false), ['SCRAM-SHA-256'])
    assert.deepEqual(offered([plainOnly], true), ['PLAIN'])
    assert.deepEqual(offered([plainOnly], false), [])
    assert.deepEqual(offered([], true), [], 'from elsewhere, without users')
  })

  test('over AMQP', async (t) => {
    const served = await Served.start(t, { users: [await user('ada', 'right', ALL)] })
    const by = (password: string) => {
      const client = new ScramClient(hostCrypto, 'ada', password)
      const mechanism = {
        start: (done: Answer) => done(undefined, Buffer.from(client.initial())),
        step: (challenge: Buffer, done: Answer) => {
          Promise.resolve(client.next(challenge)).then(
            (answer) => done(undefined, Buffer.from(answer)),
            (error) => done(error),
          )
        },
      }
      return { port: served.port, username: 'ada', sasl_mechanisms: { 'SCRAM-SHA-256': () => mechanism } }
    }
    const connection = await connect(t, by('right') as never)
    assert.equal(await send(connection, 'q', { body: 'x' }), 'accepted')
    await assert.rejects(connect(t, by('wrong') as never), /Failed to authenticate: 1/)
  })
})

type Answer = (error: unknown, bytes?: Buffer) => void
