import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { connect, queue } from '../../src/index.ts'

test('an embedded broker tells on a channel how far a start has got', async (t) => {
  const directory = await realpath(await mkdtemp(join(tmpdir(), 'millrace-channel-')))
  t.after(() => rm(directory, { recursive: true }))
  const told: unknown[] = []
  const listener = (message: unknown): void => void told.push(message)
  subscribe('millrace:journal', listener)
  t.after(() => unsubscribe('millrace:journal', listener))
  for (let i = 0; i < 2; i++) {
    await using mq = await connect(`file:${directory}`)
    await mq.send(queue<string>('q'), 'x')
  }
  const [first, second] = told as { event: string; directory: string; bytes: number; of: number }[]
  assert.deepEqual(first, { event: 'recovering', directory, bytes: 0, of: 0 })
  assert.deepEqual([second!.event, second!.directory], ['recovering', directory])
  assert.ok(second!.bytes > 0 && second!.bytes === second!.of)
})
