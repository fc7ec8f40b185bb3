import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect as connectSocket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { type Certificates, certificates, connect, folder, Served, send } from './support.ts'

suite('TLS', () => {
  let made: Certificates
  let directory: string
  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'millrace-tls-'))
    made = certificates(directory)
  })
  after(() => rmSync(directory, { recursive: true, force: true }))
  const tls = () => ({ tlsCert: made.file('server.pem'), tlsKey: made.file('server.key') })
  const trusting = () => ({ transport: 'tls' as const, ca: made.ca, servername: 'localhost' })

  test('AMQP with TLS, and without beside it', async (t) => {
    const served = await Served.start(t, tls())
    for (const options of [
      { port: served.tlsPort, username: 'anonymous', ...trusting() },
      { port: served.port, username: 'anonymous' },
    ]) {
      const connection = await connect(t, options)
      assert.equal(await send(connection, 'q', { body: 'hello' }), 'accepted')
      connection.close()
    }
    assert.deepEqual(
      served.log.lines.filter(({ level }) => level === 'warn'),
      [],
    )
  })

  test('a client that does not trust the authority is told by TLS, and logged once', async (t) => {
    const served = await Served.start(t, tls())
    const options = { port: served.tlsPort, transport: 'tls' as const, servername: 'localhost' }
    await assert.rejects(connect(t, options), /certificate/i)
    await assert.rejects(connect(t, { port: served.tlsPort }), 'plain AMQP where TLS is expected')
    assert((await served.get('/metrics')).body.includes('millrace_connections_refused_total{reason="tls"}'))
  })

  test('with an authority for clients: theirs, none, and an expired one', async (t) => {
    const served = await Served.start(t, { ...tls(), tlsCa: made.file('ca.pem') })
    const options = { port: served.tlsPort, username: 'anonymous', ...trusting() }
    const connection = await connect(t, { ...options, ...made.client })
    assert.equal(await send(connection, 'q', { body: 'hello' }), 'accepted')
    await assert.rejects(connect(t, options), /certificate required|ECONNRESET|closed|undefined/i)
    await assert.rejects(
      connect(t, { ...options, ...made.expired }),
      /certificate expired|ECONNRESET|closed|undefined/i,
    )
    const failures = served.log.of('tls-failed')
    assert.equal(failures.length, 2, JSON.stringify(failures))
    assert.match(String(failures[1]!['reason']), /expired/i)
  })

  test('whoever went through TLS and has gone is not counted any more', async (t) => {
    const served = await Served.start(t, tls())
    const connection = await connect(t, { port: served.tlsPort, username: 'anonymous', ...trusting() })
    const closed = once(connection, 'connection_close')
    connection.close()
    await closed
    const half = connectSocket(served.tlsPort, '127.0.0.1')
    await once(half, 'connect')
    half.destroy()
    while (!(await served.get('/metrics')).body.includes('\nmillrace_connections 0\n'));
  })

  test('mistakes are one clear error each', async (t) => {
    const directory = folder(t)
    writeFileSync(`${directory}/not.pem`, 'hello')
    const cases = [
      [{ tlsCert: made.file('server.pem') }, /tls\.key is missing/],
      [{ tlsKey: made.file('server.key') }, /tls\.cert is missing/],
      [{ tlsCa: made.file('ca.pem') }, /tls\.ca needs tls\.cert and tls\.key/],
      [{ httpTls: true }, /http\.tls needs tls\.cert and tls\.key/],
      [{ ...tls(), tlsCert: `${directory}/none.pem` }, /cannot read the file of tls\.cert: ENOENT/],
      [{ ...tls(), tlsCert: `${directory}/not.pem` }, /not a certificate and its private key in PEM/],
      [{ ...tls(), tlsKey: made.file('client.key') }, /not a certificate and its private key in PEM/],
    ] as const
    for (const [given, says] of cases)
      await assert.rejects(Served.start(t, given), { code: 'argument-invalid', message: says })
  })

  test('an expired certificate of our own is a warning at the start', async (t) => {
    const served = await Served.start(t, {
      tlsCert: made.file('expired.pem'),
      tlsKey: made.file('expired.key'),
    })
    assert.equal(served.log.of('certificate-expires').length, 1)
    await assert.rejects(
      connect(t, { port: served.tlsPort, username: 'anonymous', ...trusting() }),
      /certificate has expired/,
    )
  })
})
