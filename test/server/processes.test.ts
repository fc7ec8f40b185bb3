import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { connect as connectSocket } from 'node:net'
import { join } from 'node:path'
import { suite, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { env, Running, Shell } from '../cli/support.ts'
import { connect, receive, send } from './support.ts'

interface Ready {
  readonly event: string
  readonly listeners: Readonly<Record<string, { readonly host: string; readonly port: number }>>
}

/** `millrace serve` as a process, with what its ready line says. Killed with the test, if it still runs. */
async function serve(t: TestContext, shell: Shell, ...args: string[]): Promise<[Running, Ready]> {
  const running = shell.start('serve', '--port', '0', '--log-format', 'json', ...args)
  t.after(() => running.child.kill('SIGKILL'))
  const line = new Promise<string>((resolve) => {
    running.child.stdout!.once('data', (text: string) => resolve(text))
  })
  await running.printed(1)
  return [running, JSON.parse(await line) as Ready]
}

/** The same with a limit on the size of files, in KiB, beyond which writes fail. */
async function serveLimited(t: TestContext, shell: Shell, limit: number): Promise<[Running, Ready]> {
  const program = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))
  const line = `ulimit -f ${limit}; exec "$0" "$1" serve --port 0 --log-format json`
  const child = spawn('bash', ['-c', line, process.execPath, program], { cwd: shell.folder, env })
  t.after(() => child.kill('SIGKILL'))
  const running = new Running(child, shell.folder)
  const [text] = await once(child.stdout, 'data')
  return [running, JSON.parse(text) as Ready]
}

async function isListening(port: number): Promise<boolean> {
  const socket = connectSocket(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

suite('millrace serve', () => {
  test('says on one line where it can be reached, and ends with 0 on SIGTERM', async (t) => {
    const shell = new Shell(t)
    const [running, ready] = await serve(t, shell)
    assert.equal(ready.event, 'ready')
    assert.deepEqual(Object.keys(ready.listeners), ['amqp', 'http'])
    for (const { host, port } of Object.values(ready.listeners)) assert(host === '127.0.0.1' && port > 0)
    const connection = await connect(t, { port: ready.listeners['amqp']!.port, username: 'anonymous' })
    assert.equal(await send(connection, 'q', { body: 'x' }), 'accepted')
    connection.on('connection_error', () => {})
    running.child.kill('SIGTERM')
    const { code, stdout } = await running.ended
    assert.deepEqual([code, stdout.split('\n').length], [0, 2])
  })

  test('for people it says what to type next', async (t) => {
    const running = new Shell(t).start('serve', '--port', '0')
    t.after(() => running.child.kill('SIGKILL'))
    await running.printed(6)
    running.child.kill('SIGINT')
    const { stdout, code } = await running.ended
    assert.match(stdout, /^Millrace .* serves \.\/millrace-data\n {2}AMQP 1\.0 +amqp:\/\/127\.0\.0\.1:\d+\n/)
    assert.match(stdout, /millrace (-- )?send orders .* --url amqp:\/\/127\.0\.0\.1:\d+\n/)
    assert.equal(code, 0)
  })

  test('commands work on its directory while it runs', async (t) => {
    const shell = new Shell(t)
    const [running, { listeners }] = await serve(t, shell)
    const connection = await connect(t, { port: listeners['amqp']!.port, username: 'anonymous' })
    assert.equal(await send(connection, 'q', { body: 'over AMQP' }), 'accepted')
    await shell.ok('send', 'q', 'by the directory')
    assert.equal(await shell.ok('receive', 'q'), 'over AMQP\nby the directory\n')
    connection.on('connection_error', () => {})
    running.child.kill('SIGTERM')
    assert.equal((await running.ended).code, 0)
  })

  test('killed and started again on the same port, it has lost nothing that was confirmed', async (t) => {
    const shell = new Shell(t)
    const [first, { listeners }] = await serve(t, shell)
    const { port } = listeners['amqp']!
    const connection = await connect(t, { port, username: 'anonymous' })
    const sender = connection.open_sender({ target: { address: 'q', capabilities: ['queue'] } })
    const confirmed = new Set<number>()
    const numbers = new Map<unknown, number>()
    let next = 0
    sender.on('sendable', () => {
      while (sender.sendable() && next < 5_000)
        numbers.set(sender.send({ durable: true, body: next }), next++)
    })
    connection.on('disconnected', () => {})
    await new Promise<void>((resolve) => {
      sender.on('accepted', ({ delivery }) => {
        confirmed.add(numbers.get(delivery)!)
        if (confirmed.size >= 1_000) resolve()
      })
    })
    first.child.kill('SIGKILL')
    await first.ended
    const [, again] = await serve(t, shell, '--http-port', '0', `--port=${port}`)
    assert.equal(again.listeners['amqp']!.port, port)
    const consumer = await connect(t, { port, username: 'anonymous' })
    const bodies = (await receive(consumer, 'q', confirmed.size)).map(({ body }) => body as number)
    // In order, so what is missing would be among the first.
    assert.deepEqual(bodies.filter((body) => confirmed.has(body)).length, confirmed.size)
  })

  test('a second signal ends it at once', async (t) => {
    const [running, { listeners }] = await serve(t, new Shell(t))
    const { port } = listeners['amqp']!
    // It opens, and does not answer the goodbye.
    const socket = connectSocket(port, '127.0.0.1').on('error', () => {})
    socket.write('AMQP\0\x01\0\0')
    socket.write(Buffer.from('0000001102000000005310c00401a1016100'.slice(0, 34), 'hex'))
    while (socket.bytesRead < 20) await once(socket, 'data')
    running.child.kill('SIGTERM')
    while (await isListening(port));
    running.child.kill('SIGTERM')
    assert.equal((await running.ended).signal, 'SIGTERM')
  })

  test('a disk that fails: clients are told, and it ends with 5', async (t) => {
    const shell = new Shell(t)
    // No file may be larger than a little more than the reserve.
    const [running, { listeners }] = await serveLimited(t, shell, 18_000)
    const connection = await connect(t, { port: listeners['amqp']!.port, username: 'anonymous' })
    const told = once(connection, 'connection_error')
    const sender = connection.open_sender({ target: { address: 'q', capabilities: ['queue'] } })
    sender.on('sendable', () => {
      while (sender.sendable()) sender.send({ durable: true, body: Buffer.alloc(200_000) })
    })
    sender.on('rejected', () => {})
    connection.on('disconnected', () => {})
    const [{ connection: closed }] = await told
    assert.match(String(closed.error.condition), /^amqp:/)
    const { code, stderr } = await running.ended
    assert.match(stderr, /"code":"journal-failed"|millrace: journal-failed: /)
    assert.equal(code, 5)
  })

  test('mistakes: one line, exit code 2, and nothing is created', async (t) => {
    const shell = new Shell(t)
    writeFileSync(join(shell.folder, 'bad.yaml'), 'prot: 1')
    const cases: [args: string[], says: RegExp][] = [
      [['--config', 'bad.yaml'], /^millrace: bad\.yaml: there is no setting prot; did you mean 'port'\?\n$/],
      [['--port', 'x'], /^millrace: --port is a port from 0 to 65535/],
      [['--prot', '1'], /unknown option --prot; did you mean '--port'\?/],
      [['--url', 'file:./x'], /serve takes --data DIR instead of --url/],
      [['extra'], /serve does not take 'extra'/],
      [['--host', '0.0.0.0'], /^millrace: host is 0\.0\.0\.0, which others can reach/],
      [['--tls-cert', 'x'], /^millrace: tls\.cert and tls\.key belong together/],
    ]
    for (const [args, says] of cases) {
      const { code, stdout, stderr } = await shell.run('serve', ...args)
      assert.match(stderr, says)
      assert.deepEqual([code, stdout, stderr.split('\n').length], [2, '', 2])
    }
  })
})

test('millrace passwd makes a line that serve takes', async (t) => {
  const shell = new Shell(t)
  const { stdout } = await shell.feed('geheim\n', 'passwd')
  assert.match(
    stdout,
    /^scrypt\$32768\$8\$1\$[^$,\n]+\$[^$,\n]+,scram-sha-256\$\d+\$[^$,\n]+\$[^$,\n]+\$[^$,\n]+\n$/,
  )
  const permissions = [{ operations: 'all', destination: '#' }]
  const settings = { users: [{ name: 'ada', password: stdout.trim(), permissions }] }
  writeFileSync(join(shell.folder, 'millrace.yaml'), JSON.stringify(settings))
  const [running, { listeners }] = await serve(t, shell)
  const { port } = listeners['amqp']!
  await connect(t, { port, username: 'ada', password: 'geheim' })
  await assert.rejects(connect(t, { port, username: 'ada', password: 'other' }), /authenticate/)
  running.child.kill('SIGTERM')
  const { stderr } = await running.ended
  const failures = stderr.split('\n').filter((line) => line.includes('"login-failed"'))
  assert.equal(failures.length, 1)
  assert.deepEqual(Object.keys(JSON.parse(failures[0]!) as object).sort(), [
    'event',
    'level',
    'message',
    'reason',
    'remote',
    'time',
    'user',
  ])
  assert.equal((await shell.feed('\n', 'passwd')).code, 2)
})
