import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { connect } from '../../src/index.ts'

/** A server on a free port that ends with the test; answers the part of its URL behind the scheme. */
async function listen(t: TestContext, server: Server): Promise<string> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

test('a broker of AMQP 0-9-1 is named, with the scheme to write', async (t) => {
  const at = await listen(
    t,
    createServer((socket) => socket.end('AMQP\x00\x00\x09\x01')),
  )
  await assert.rejects(connect(`amqp://${at}`), { code: 'protocol-mismatch', message: /rabbitmq:\/\// })
})

test('an HTTP server is named', async (t) => {
  const at = await listen(t, createHttpServer())
  await assert.rejects(connect(`amqp://${at}`), { code: 'protocol-mismatch', message: /HTTP/ })
})

test('amqps:// to a port without TLS says so', async (t) => {
  const at = await listen(
    t,
    createServer((socket) => socket.end('AMQP\x00\x01\x00\x00')),
  )
  await assert.rejects(connect(`amqps://${at}`), { code: 'protocol-mismatch', message: /amqp:\/\/ instead/ })
})

test('a server that closes without a word, and one that says nothing at all', async (t) => {
  const mute = await listen(
    t,
    createServer((socket) => socket.end()),
  )
  await assert.rejects(connect(`amqp://${mute}`), { code: 'connection-failed', retryable: true })
  const silent = await listen(t, createServer())
  await assert.rejects(connect(`amqp://${silent}`, { connectTimeout: 50 }), { code: 'connection-failed' })
})

test('nobody at the address: at once, once per address, and the last failure is told', async (t) => {
  const at = await listen(
    t,
    createServer((socket) => socket.end('ERROR\n')),
  )
  await assert.rejects(connect('amqp://127.0.0.1:1'), {
    code: 'connection-failed',
    message: /nobody listens/,
  })
  await assert.rejects(connect(['amqp://127.0.0.1:1', `amqp://${at}`]), {
    code: 'protocol-mismatch',
    message: /STOMP/,
  })
})

test('with firstAttempts it keeps trying, until its signal', async () => {
  const aborter = new AbortController()
  const reconnect = { firstAttempts: Number.POSITIVE_INFINITY, initial: 1, max: 2 }
  const waiting = connect('amqp://127.0.0.1:1', { reconnect, signal: aborter.signal })
  setTimeout(() => aborter.abort(new Error('enough')), 30)
  await assert.rejects(waiting, { message: 'enough' })
})

test('options that cannot be used are refused before anything is tried', async () => {
  await assert.rejects(connect('amqp://h', { idleTimeout: 0 }), { code: 'argument-invalid' })
  await assert.rejects(connect('amqp://h', { connectTimeout: 'soon' }), { code: 'duration-invalid' })
  await assert.rejects(connect('amqp://h/x'), { code: 'url-invalid' })
})
