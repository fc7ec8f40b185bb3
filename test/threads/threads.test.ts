import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { Worker } from 'node:worker_threads'
import { type ConnectOptions, type Context, connect, embedded, queue } from '../../src/index.ts'
import { TestClock } from '../../src/testing/test-clock.ts'
import { Crowd } from '../client-amqp/attached-processes.ts'

const jobs = queue<string>('jobs')
const options: ConnectOptions = { thread: 'worker' }

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'millrace-thread-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** Opens a connection that starts a thread, and answers that as well. */
async function withThread(t: TestContext, url: string): Promise<{ mq: Context; thread: Worker }> {
  const started = once(process, 'worker')
  const mq = await connect(url, options)
  t.after(() => mq.close())
  const [thread] = (await started) as [Worker]
  return { mq, thread }
}

test('while this thread stands still, the broker serves another process', { timeout: 60_000 }, async (t) => {
  const all = await Crowd.gather()
  t.after(() => all.end())
  await withThread(t, all.url)
  const member = await all.join()
  member.order({ order: 'send', from: 1, count: 3 })
  const patience = performance.now() + 20_000
  while (!all.history.some(({ event }) => event === 'sent-all'))
    assert.ok(performance.now() < patience, 'the broker waits for this thread')
})

test('connections of a process share the thread, which lets go of the directory when the last one leaves', async (t) => {
  const url = `file:${folder(t)}`
  const first = await connect(url, options)
  const second = await connect(url, options)
  await first.send(jobs, 'hello')
  await first.close()
  assert.equal((await second.receive(jobs))?.body, 'hello')
  await second.close()
  const here = await connect(url)
  assert.equal((await here.receive(jobs))?.body, 'hello', 'it was never acknowledged')
  await here.close()
})

test('a connection without a thread attaches to the thread, and one with a thread to the main one', async (t) => {
  for (const [one, other] of [
    [options, {}],
    [{}, options],
  ] as const) {
    const url = `file:${folder(t)}`
    const owner = await connect(url, one)
    const guest = await connect(url, other)
    await guest.send(jobs, 'from the guest')
    assert.equal((await owner.receive(jobs))?.body, 'from the guest')
    await guest.close()
    await owner.close()
  }
})

test('a thread that dies is followed by another: nothing confirmed is lost', async (t) => {
  const { mq, thread } = await withThread(t, `file:${folder(t)}`)
  await mq.send(jobs, 'before')
  const back = once(mq, 'reconnected')
  await thread.terminate()
  await mq.send(jobs, 'after')
  await back
  const bodies = [(await mq.receive(jobs))?.body, (await mq.receive(jobs))?.body]
  assert.deepEqual(bodies, ['before', 'after'])
})

test('a thread of this process takes over from another process', { timeout: 60_000 }, async (t) => {
  const all = await Crowd.gather()
  t.after(() => all.end())
  await all.join()
  const numbers = queue<number>('numbers')
  const mq = await connect(all.url, options)
  t.after(() => mq.close())
  await mq.send(numbers, 7)
  const started = once(process, 'worker')
  const back = once(mq, 'reconnected')
  await all.owner!.kill()
  await back
  await started
  assert.equal((await mq.receive(numbers))?.body, 7)
})

test('a broker in memory may have a thread; what it held ends with it, and everybody is told', async (t) => {
  const { mq, thread } = await withThread(t, 'memory:shared')
  mq.on('error', () => {})
  const other = await connect('memory:shared', options)
  await other.send(jobs, 'hello', { durability: 'memory' })
  assert.equal((await mq.receive(jobs))?.body, 'hello')
  await other.close()
  await thread.terminate()
  await assert.rejects(mq.send(jobs, 'nobody'), { code: 'connection-lost' })
})

test('what keeps the broker from opening is told as without a thread', async (t) => {
  const file = join(folder(t), 'file')
  writeFileSync(file, '')
  await assert.rejects(connect(`file:${file}`, options), { code: 'directory-unusable' })
  const clock = new TestClock()
  const provider = embedded({ clock })
  await assert.rejects(connect('memory:', { ...options, provider }), { code: 'argument-invalid' })
})

test('a thread is asked for by its name, and of brokers that run here', async () => {
  await assert.rejects(connect('amqp://127.0.0.1:1', options), { code: 'unsupported' })
  const wrong = { thread: 'process' } as unknown as ConnectOptions
  await assert.rejects(connect('memory:', wrong), { code: 'argument-invalid' })
})
