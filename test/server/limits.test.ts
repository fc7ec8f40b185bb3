import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectSocket, createServer, type Socket } from 'node:net'
import { suite, test } from 'node:test'
import { ALL, folder, Served, send, user } from './support.ts'

async function opened(port: number): Promise<Socket> {
  const socket = connectSocket(port, '127.0.0.1')
  await once(socket, 'connect')
  return socket
}

suite('limits', () => {
  test('more connections than allowed are closed at once, and room is given back', async (t) => {
    const served = await Served.start(t, { limitsMaxConnections: 3 })
    const inside = [await opened(served.port), await opened(served.port), await opened(served.port)]
    const outside = await opened(served.port)
    await once(outside, 'close')
    assert.match(
      (await served.get('/metrics')).body,
      /\nmillrace_connections_refused_total\{reason="too-many"\} 1\n/,
    )
    for (const socket of inside) socket.destroy()
    while (!(await served.get('/metrics')).body.includes('\nmillrace_connections 0\n'));
    assert.equal(await send(await served.connect(t), 'q', { body: 'x' }), 'accepted')
  })

  test('more new ones a second than allowed', async (t) => {
    const served = await Served.start(t, { limitsConnectionsPerSecond: 2 })
    const sockets = [1, 2, 3, 4, 5].map(() => connectSocket(served.port, '127.0.0.1'))
    t.after(() => {
      for (const socket of sockets) socket.destroy()
    })
    await Promise.race(sockets.map((socket) => once(socket, 'close')))
    assert.equal(served.log.of('connection-refused')[0]!['reason'], 'too-fast')
  })

  test('a message that is too large', async (t) => {
    const served = await Served.start(t, { limitsMaxMessageBytes: 1_024 })
    const connection = await served.connect(t)
    assert.equal(await send(connection, 'q', { body: 'x'.repeat(900) }), 'accepted')
    const sender = connection.open_sender({ target: { address: 'q', capabilities: ['queue'] } })
    await once(sender, 'sendable')
    sender.send({ body: 'x'.repeat(100_000) })
    const [{ sender: link }] = await once(sender, 'sender_error')
    assert.equal(link.error.condition, 'amqp:link:message-size-exceeded')
  })

  test('thousands that say nothing are cheap, and neighbours work', async (t) => {
    const count = 1_000
    const served = await Served.start(t, { limitsConnectionsPerSecond: 1_000_000 })
    const sockets: Socket[] = []
    t.after(() => {
      for (const socket of sockets) socket.destroy()
    })
    for (let i = 0; i < count; i += 100)
      sockets.push(...(await Promise.all(Array.from({ length: 100 }, () => opened(served.port)))))
    while (!(await served.get('/metrics')).body.includes(`\nmillrace_connections ${count}\n`));
    assert.equal(await send(await served.connect(t), 'q', { body: 'x' }), 'accepted')
  })
})

test('a port that is taken: what it is and what to do, and the directory is free for the next try', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1')
  t.after(() => taken.close())
  await once(taken, 'listening')
  const { port } = taken.address() as { port: number }
  await assert.rejects(Served.start(t, { port }), {
    code: 'argument-invalid',
    message: `port ${port} of 127.0.0.1 is taken by another process; end that one, or set port to another port, or to 0 for a free one`,
  })
  const data = folder(t)
  await assert.rejects(Served.start(t, { data, httpPort: port }), /or set http\.port to another/)
  await Served.start(t, { data })
  const users = [await user('ada', 'x', ALL)]
  await assert.rejects(
    Served.start(t, { host: 'host.invalid', users }),
    /there is no host host\.invalid|host\.invalid/,
  )
})
