import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { connect, queue } from '../../src/index.ts'
import type { UserSettings } from '../../src/server/auth/user-settings.ts'
import { ALL, type Certificates, certificates, folder, Served, user } from '../server/support.ts'

const texts = queue<string>('texts')

suite('the client at a server with users and TLS', () => {
  let users: UserSettings[]
  let made: Certificates
  let directory: string
  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'millrace-client-tls-'))
    made = certificates(directory)
    const own = { operations: ['send', 'create'] as const, destination: 'public.#', kind: undefined }
    users = [await user('ada', 'r:ght', ALL), await user('bob', 'too', [own as never])]
  })
  after(() => rmSync(directory, { recursive: true, force: true }))

  test('logs in by SCRAM-SHA-256, also without TLS; a wrong password is authentication-failed', async (t) => {
    const served = await Served.start(t, { users })
    const mq = await connect(`amqp://ada:r%3Aght@127.0.0.1:${served.port}`)
    await mq.send(texts, 'x')
    assert.equal((await mq.receive(texts))!.body, 'x')
    await mq.close()
    assert.deepEqual(
      served.log.of('connected').map(({ user }) => user),
      ['ada'],
    )
    for (const login of ['ada:wrong@', 'eve:r%3Aght@', '']) {
      await assert.rejects(connect(`amqp://${login}127.0.0.1:${served.port}`), {
        code: 'authentication-failed',
      })
    }
  })

  test('what a user may not do is not-permitted, and what they may goes on', async (t) => {
    const served = await Served.start(t, { users })
    const mq = await connect(`amqp://bob:too@127.0.0.1:${served.port}`)
    await mq.send(queue('public.notes'), 'x')
    await assert.rejects(mq.send(texts, 'x'), { code: 'not-permitted' })
    await assert.rejects(mq.createProducer(texts), { code: 'not-permitted' })
    await assert.rejects(mq.receive(queue('public.notes')), { code: 'not-permitted' })
    await assert.rejects(mq.management.connections(), { code: 'not-permitted' })
    await mq.send(queue('public.notes'), 'y')
    await mq.close()
  })

  test('amqps:// trusts the authority that it is given, and no other', async (t) => {
    const served = await Served.start(t, {
      users,
      tlsCert: made.file('server.pem'),
      tlsKey: made.file('server.key'),
    })
    const url = `amqps://ada:r%3Aght@127.0.0.1:${served.tlsPort}`
    const mq = await connect(url, { tls: { ca: made.ca, servername: 'localhost' } })
    await mq.send(texts, 'x')
    await mq.close()
    await assert.rejects(connect(url, { tls: { servername: 'localhost' } }), {
      code: 'connection-failed',
      message: /certificate/,
    })
    await assert.rejects(connect(`amqp://127.0.0.1:${served.tlsPort}`), { message: /amqps:|closed/ })
  })

  test('a server that ends in good order and comes back: sends wait for it, and are stored once', async (t) => {
    const data = join(folder(t), 'data')
    const first = await Served.start(t, { data })
    const { port } = first
    const mq = await connect(`amqp://127.0.0.1:${port}`, { reconnect: { initial: 5, max: 50 } })
    const sends = Array.from({ length: 200 }, (_, i) => mq.send(texts, String(i)))
    const lost = once(mq, 'disconnected')
    const stopped = first.stop(1_000)
    await lost
    const late = mq.send(texts, 'late')
    await stopped
    const back = once(mq, 'reconnected')
    await Served.start(t, { data, port })
    await Promise.all([...sends, late, back])
    const bodies: string[] = []
    for await (const { body } of mq.browse(texts)) bodies.push(body)
    assert.deepEqual(bodies, [...Array.from({ length: 200 }, (_, i) => String(i)), 'late'])
    await mq.close()
  })
})
