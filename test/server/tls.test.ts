import assert from 'node:assert/strict'
import { once } from 'node:events'
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect as connectSocket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { connect as connectTls } from 'node:tls'
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

  test('who stops in the middle of the handshake is cut off', async (t) => {
    const served = await Served.start(t, { ...tls(), limitsHandshakeTimeout: 200 })
    const silent = connectSocket(served.tlsPort, '127.0.0.1')
    const slow = connectSocket(served.tlsPort, '127.0.0.1')
    slow.write(Buffer.from('1603', 'hex'))
    await Promise.all([silent, slow].map((socket) => once(socket.resume(), 'close')))
    assert.equal(served.log.of('tls-failed').length, 2)
  })

  test('a renewed certificate is shown to new clients; one that cannot be used changes nothing', async (t) => {
    const home = folder(t)
    const renewed = certificates(home)
    const [cert, key] = [`${home}/now.pem`, `${home}/now.key`]
    const use = (file: (name: string) => string, name: string) => {
      copyFileSync(file(`${name}.pem`), cert)
      copyFileSync(file(`${name}.key`), key)
    }
    use(made.file, 'server')
    const served = await Served.start(t, { tlsCert: cert, tlsKey: key, httpTls: true })
    const shown = async (port: number): Promise<string> => {
      const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false })
      await once(socket, 'secureConnect')
      const { fingerprint256 } = socket.getPeerCertificate()
      socket.destroy()
      return fingerprint256
    }
    const both = () => Promise.all([shown(served.tlsPort), shown(served.server.listeners.http!.port)])
    const before = await both()
    const connection = await connect(t, { port: served.tlsPort, ...trusting(), username: 'anonymous' })
    writeFileSync(cert, 'broken')
    served.server.renewCertificate()
    assert.deepEqual([await both(), served.log.of('certificate-unusable').length], [before, 1])
    use(renewed.file, 'server')
    served.server.renewCertificate()
    const after = await both()
    assert.equal(after[0], after[1])
    assert.notEqual(after[0], before[0])
    assert.equal(await send(connection, 'q', { body: 'x' }), 'accepted', 'who was there goes on')
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
