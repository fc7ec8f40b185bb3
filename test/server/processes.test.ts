import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite, type TestContext, test } from 'node:test'
import { type Running, Shell } from '../cli/support.ts'
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
    const [running, { listeners }] = await serve(t, new Shell(t), '--shutdown-timeout', '1h')
    const connection = await connect(t, { port: listeners['amqp']!.port, username: 'anonymous' })
    connection.on('disconnected', () => {})
    // It does not say goodbye, so the server waits for it.
    connection.on('connection_close', () => {})
    running.child.kill('SIGTERM')
    running.child.kill('SIGTERM')
    const { code, signal } = await running.ended
    assert(signal === 'SIGTERM' || code === 0, `${signal} ${code}`)
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
    ]
    for (const [args, says] of cases) {
      const { code, stdout, stderr } = await shell.run('serve', ...args)
      assert.match(stderr, says)
      assert.deepEqual([code, stdout, stderr.split('\n').length], [2, '', 2])
    }
    const wide = await shell.run('serve', '--host', '0.0.0.0')
    assert.match(wide.stderr, /^millrace: argument-invalid: host is 0\.0\.0\.0, which others can reach/)
    assert.equal(wide.code, 1)
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
