import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { ConnectionFactory, connect, embedded, isMillraceError, queue, topic } from '../../src/index.ts'
import { lockDirectory } from '../../src/storage/lock.ts'

const root = await mkdtemp(join(tmpdir(), 'millrace-embedded-'))
after(() => rm(root, { recursive: true }))
let directories = 0
const fresh = () => join(root, String(++directories))

const mail = queue<string>('mail')

test('memory:NAME is one broker in a process, memory: is each time another', async () => {
  const [one, two] = [await connect('memory:shared'), await connect('memory:shared')]
  await one.send(mail, 'x')
  assert.equal((await two.receive(mail))?.body, 'x')
  const [three, four] = [await connect('memory:'), await connect('memory:')]
  await three.send(mail, 'x')
  assert.equal(await four.receive(mail, { timeout: 0 }), undefined)
  for (const mq of [one, two, three, four]) await mq.close()
  await using again = await connect('memory:shared')
  assert.equal(await again.receive(mail, { timeout: 0 }), undefined, 'it ended with its last connection')
})

test('what was confirmed is there after the directory is opened again, with its topology and history', async () => {
  const url = `file:${fresh()}`
  const orders = queue<string>('orders', { policy: { maxDeliveries: 1, backoff: { delay: 1 } } })
  const large = 'large '.repeat(200_000)
  const first = await connect(url, { clientId: 'app' })
  const audit = await first.subscribe(topic<string>('events.#'), { name: 'audit' })
  await Promise.all(['a', 'b', large].map((body) => first.send(orders, body)))
  await first.send(topic('events.new'), 'e')
  await first.send(mail, 'fleeting', { durability: 'memory' })
  await (await first.receive(orders))!.fail('broken')
  const dead = queue<string>('orders.dlq')
  await (await first.receive(dead))!.release()
  await first.close()

  const second = await connect(url, { clientId: 'app' })
  const received = [await second.receive(orders), await second.receive(orders)]
  assert.deepEqual(
    received.map((message) => message?.body.slice(0, 9)),
    ['b', 'large lar'],
  )
  assert.equal(received[1]!.body, large)
  for (const message of received) await message!.acknowledge()
  const letter = await second.receive(dead)
  assert.deepEqual([letter?.body, letter?.deadLetter?.history[0]?.description], ['a', 'broken'])
  assert.equal((await second.receive(audit))?.body, 'e')
  assert.equal(
    await second.receive(mail, { timeout: 0 }),
    undefined,
    "level 'memory' does not outlive the process",
  )
  await second.close()

  await using third = await connect(url)
  assert.equal(await third.receive(orders, { timeout: 0 }), undefined, 'acknowledged is gone')
})

test('a directory is one broker however it is named, and is closed with the last connection', async () => {
  const directory = fresh()
  const link = `${directory}-link`
  const one = await connect(`file:${directory}`)
  await symlink(directory, link)
  const two = await connect(`file:${link}`)
  const three = await connect(pathToFileURL(directory).href)
  await one.send(mail, 'x')
  assert.equal((await two.receive(mail))?.body, 'x')
  await one.close()
  await two.close()
  assert.equal((await three.receive(mail))?.body, 'x')
  const closed = three.close()
  const four = await connect(`file:${directory}`)
  await closed
  assert.equal((await four.receive(mail))?.body, 'x')
  await four.close()
})

test('many connections opened and closed at once end in one broker at a time', async () => {
  const url = `file:${fresh()}`
  const rounds = Array.from({ length: 20 }, async (_, i) => {
    const mq = await connect(url)
    await mq.send(mail, String(i))
    await mq.close()
  })
  await Promise.all(rounds)
  await using mq = await connect(url)
  const bodies = new Set<string>()
  for (let i = 0; i < 20; i++) bodies.add((await mq.receive(mail))!.body)
  assert.equal(bodies.size, 20)
})

test('a broker may be asked for at any moment of its closing', async () => {
  const url = `file:${fresh()}`
  for (let delay = 0; delay < 16; delay++) {
    const first = await connect(url)
    const closed = first.close()
    for (let i = 0; i < delay; i++) await Promise.resolve()
    if (delay % 8 === 7) await new Promise((resolve) => setImmediate(resolve))
    const second = await connect(url)
    await second.send(mail, String(delay))
    await closed
    await second.close()
  }
  await using mq = await connect(url)
  for (let delay = 0; delay < 16; delay++) assert.equal((await mq.receive(mail))?.body, String(delay))
})

test('a broker that is open with other options is not shared silently', async () => {
  await using _mq = await connect('memory:options', { provider: embedded({ maxMessageBytes: 100 }) })
  await using _plain = await connect('memory:options')
  await assert.rejects(connect('memory:options', { provider: embedded({ maxMessageBytes: 200 }) }), {
    code: 'illegal-state',
  })
})

test('the sends of a transaction that cannot begin are refused, and its commit fails', async () => {
  const provider = embedded({ maxTransactions: 1 })
  await using mq = await connect('memory:', { provider })
  const [one, other] = [1, 2].map(() => mq.createContext({ acknowledge: 'transacted' }))
  const texts = queue<string>('texts')
  await (await one!).send(texts, 'a')
  const refused = await Promise.allSettled([1, 2].map(async () => (await other!).send(texts, 'b')))
  assert.deepEqual(
    refused.map((outcome) => (outcome as PromiseRejectedResult).reason?.code),
    ['memory-full', 'memory-full'],
  )
  await assert.rejects((await other!).commit(), { code: 'transaction-rolled-back' })
  await (await one!).commit()
  const again = (await other!).send(texts, 'c')
  await (await other!).close()
  await again
  assert.equal((await mq.receive(texts))?.body, 'a')
})

test('URLs that name nothing usable say what would be', async () => {
  await assert.rejects(connect('nats://x'), { code: 'url-invalid', message: /"nats:".*memory:, file:/ })
  await assert.rejects(connect('./data'), {
    code: 'url-invalid',
    message: /begins with one of memory:, file:/,
  })
  await assert.rejects(connect('file:'), { code: 'url-invalid' })
  await assert.rejects(connect('file://elsewhere/data'), { code: 'url-invalid' })
  await assert.rejects(connect([]), { code: 'url-invalid' })
  assert.throws(() => new ConnectionFactory('x:'), { code: 'url-invalid' })
  await assert.rejects(connect('memory:', { clientId: '' }), { code: 'client-id-invalid' })
  const signal = AbortSignal.abort(new Error('changed my mind'))
  await assert.rejects(connect('memory:', { signal }), { message: 'changed my mind' })
})

test('a connect that is given up leaves nothing open', async () => {
  const url = `file:${fresh()}`
  const aborter = new AbortController()
  const connecting = connect(url, { signal: aborter.signal, clientId: 'app' })
  aborter.abort(new Error('changed my mind'))
  await assert.rejects(connecting, { message: 'changed my mind' })
  // The client id is free again when what was given up has been closed.
  for (;;) {
    const again = await connect(url, { clientId: 'app' }).catch((error) => error)
    if (isMillraceError(again)) assert.equal(again.code, 'client-id-invalid')
    else return again.close()
  }
})

test('of several URLs the first that answers is taken', async () => {
  const file = fresh()
  await writeFile(file, '')
  await using mq = await connect([`file:${file}`, 'memory:'])
  await mq.send(mail, 'x')
  await assert.rejects(connect([`file:${file}/below`, `file:${file}`]), { code: 'directory-unusable' })
})

test('a directory that cannot be used is directory-unusable, and can be used when it can', async () => {
  const file = fresh()
  await writeFile(file, '')
  await assert.rejects(connect(`file:${file}`), { code: 'directory-unusable' })
  await rm(file)
  await mkdir(file)
  await (await connect(`file:${file}`)).close()
})

/** Runs a script that imports the package, and answers the process and its first line. */
async function child(script: string): Promise<{ process: ReturnType<typeof spawn>; line: string }> {
  const index = new URL('../../src/index.ts', import.meta.url).href
  const source = `import * as millrace from ${JSON.stringify(index)}\n${script}`
  const spawned = spawn(process.execPath, ['--input-type=module', '--eval', source], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = (await once(createInterface(spawned.stdout), 'line')) as [string]
  return { process: spawned, line }
}

test('an owner that serves nobody is named; what it held is free when it is gone', async () => {
  const directory = fresh()
  const lock = lockDirectory(directory)
  await assert.rejects(connect(`file:${directory}`), {
    code: 'directory-locked',
    retryable: true,
    message: new RegExp(`process ${process.pid}`),
  })
  lock.release()
  await (await connect(`file:${directory}`)).close()
})

test('a second process attaches; when the owner is killed, it takes over', async () => {
  const directory = fresh()
  const owner = await child(`
    const mq = await millrace.connect(${JSON.stringify(`file:${directory}`)})
    await mq.send(millrace.queue('mail'), 'x')
    console.log('owned')
  `)
  assert.equal(owner.line, 'owned')
  await using mq = await connect(`file:${directory}`)
  const [report] = await mq.management.queues()
  assert.equal(report?.messages, 1)
  const back = once(mq, 'reconnected')
  owner.process.kill('SIGKILL')
  await back
  assert.equal((await mq.receive(mail))?.body, 'x')
})

test('an open connection keeps the process alive, a closed one lets it end by itself', async () => {
  const ended = await child(`
    for (const url of ['memory:', ${JSON.stringify(`file:${fresh()}`)}]) {
      const mq = await millrace.connect(url)
      const worker = mq.consume(millrace.queue('q', { policy: { backoff: { delay: '1h' } } }), () => { throw 1 })
      await mq.send(millrace.queue('q'), 'x', { ttl: '1h' })
      await mq.close()
    }
    console.log('closed')
  `)
  const [code] = await once(ended.process, 'exit')
  assert.deepEqual([ended.line, code], ['closed', 0])
  const alive = await child(`
    const mq = await millrace.connect('memory:')
    mq.consume(millrace.queue('q'), () => {})
    process.on('SIGTERM', () => mq.close())
    setTimeout(() => console.log('alive'), 0)
  `)
  assert.equal(alive.line, 'alive')
  assert.equal(alive.process.exitCode, null)
  alive.process.kill('SIGTERM')
  assert.deepEqual(await once(alive.process, 'exit'), [0, null])
})

test('endless sends of level memory leave the event loop its turns', async () => {
  await using mq = await connect('memory:')
  const numbers = queue<number>('numbers', { policy: { maxMessages: 10, overflow: 'drop-oldest' } })
  let ticked = false
  setTimeout(() => {
    ticked = true
  }, 1)
  let sent = 0
  while (!ticked) await mq.send(numbers, sent++, { durability: 'memory' })
  assert.ok(sent > 0)
})
