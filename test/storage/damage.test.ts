import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { FRAME_HEADER } from '../../src/storage/format.ts'
import { Inspector } from '../../src/storage/inspect.ts'
import { Bench, seed } from './support.ts'

const first = 'journal/0000000001.segment'
const second = 'journal/0000000002.segment'

/** Five messages, each durable by itself, in the first segment. */
async function fiveMessages(): Promise<{ bench: Bench; lsns: number[] }> {
  const bench = new Bench()
  const keeper = await bench.open()
  const lsns: number[] = []
  for (let i = 0; i < 5; i++) {
    lsns.push(keeper.publish(1, `message ${i}`))
    await bench.commit()
  }
  return { bench, lsns }
}

/** Where frame `index` of a segment file begins. */
function frameAt(content: Buffer, index: number): number {
  let at = 64
  for (let i = 0; i < index; i++) at += Math.ceil((FRAME_HEADER + content.readUInt32LE(at + 8)) / 8) * 8
  return at
}

/** Behind the last byte that is not zero. */
function endOfBytes(content: Buffer): number {
  return content.findLastIndex((byte) => byte !== 0) + 1
}

function damage(bench: Bench, path: string, change: (content: Buffer) => Buffer | undefined): void {
  const content = bench.disk.content(path)
  bench.disk.place(path, change(content) ?? content)
}

test('promise 5: a torn tail is cut and counted, and nothing that was durable goes with it', async () => {
  const { bench, lsns } = await fiveMessages()
  const whole = bench.disk.content(first)
  const end = frameAt(whole, 5)
  const torn = whole.subarray(frameAt(whole, 4), endOfBytes(whole) - 3)
  damage(bench, first, (content) => void torn.copy(content, end + 8))
  await bench.kill()
  assert.equal(bench.report.tornBytes, torn.length + 8)
  assert.deepEqual(bench.report.quarantined, [])
  assert.deepEqual([...bench.keeper.held.keys()], lsns)
  assert.equal(bench.disk.content(first).length, end)
  await bench.kill()
  assert.equal(bench.report.tornBytes, 0, 'it is found whole at the second start')
  assert.deepEqual([...bench.keeper.held.keys()], lsns)
})

test('zeros that were written ahead are no torn tail after a kill, and no damage where they were not cut off', async () => {
  const { bench, lsns } = await fiveMessages()
  const whole = bench.disk.content(first)
  const end = frameAt(whole, 5)
  assert.ok(whole.length - end > 4096 && whole.subarray(end).every((byte) => byte === 0))
  await bench.kill()
  assert.equal(bench.report.tornBytes, 0)
  assert.equal(bench.disk.content(first).length, end)
  bench.disk.place(first, whole)
  lsns.push(bench.keeper.publish(1, 'in the second segment'))
  await bench.commit()
  const { damage } = await bench.wait(new Inspector(bench.disk.mount()).inspect())
  assert.deepEqual(damage, [])
  await bench.kill()
  assert.deepEqual(bench.report.quarantined, [])
  assert.equal(bench.report.tornBytes, 0)
  assert.deepEqual([...bench.keeper.held.keys()], lsns)
})

test('a segment is left without the zeros that were written ahead', async () => {
  const bench = new Bench()
  const keeper = await bench.open()
  while (!bench.disk.paths().includes(second)) {
    keeper.publish(1, 'x'.repeat(200))
    await bench.commit()
  }
  await bench.clock.advance(10)
  const zeros = (path: string): number =>
    bench.disk.content(path).length - endOfBytes(bench.disk.content(path))
  assert.ok(zeros(second) >= 256)
  await bench.close()
  assert.ok(zeros(first) < 8 && zeros(second) < 8, 'those of a padding')
})

test('frames that are missing are found out, with zeros in their place', async () => {
  const { bench, lsns } = await fiveMessages()
  const whole = bench.disk.content(first)
  await bench.kill()
  bench.keeper.publish(1, 'in the second segment')
  await bench.commit()
  damage(bench, first, () => Buffer.from(whole).fill(0, frameAt(whole, 3)))
  await bench.kill()
  assert.equal(bench.report.tornBytes, 0)
  const [entry] = bench.report.quarantined
  assert.equal(entry!.firstLsn, lsns[3])
  assert.ok(entry!.lastLsn! >= lsns[4]!)
})

test('so they are without a checkpoint, when whole files may be missing for good reasons', async () => {
  const { bench, lsns } = await fiveMessages()
  const whole = bench.disk.content(first)
  await bench.kill()
  bench.keeper.publish(1, 'in the second segment')
  await bench.commit()
  await bench.close()
  damage(bench, first, () => Buffer.from(whole).fill(0, frameAt(whole, 3)))
  for (const path of bench.disk.paths())
    if (path.startsWith('checkpoint')) damage(bench, path, (content) => content.fill(0))
  await bench.open()
  const entry = bench.report.quarantined.find(({ file }) => file === first)
  assert.equal(entry?.firstLsn, lsns[3])
})

test('promise 5: damage before a frame that proves it was durable is kept in quarantine and reported', async () => {
  const { bench, lsns } = await fiveMessages()
  let range: [number, number] = [0, 0]
  let bytes = Buffer.alloc(0)
  damage(bench, first, (content) => {
    range = [frameAt(content, 2), frameAt(content, 3)]
    content[range[0] + FRAME_HEADER + 20]! ^= 1
    bytes = Buffer.from(content.subarray(...range))
    return undefined
  })
  await bench.kill()
  assert.equal(bench.report.tornBytes, 0)
  const [entry] = bench.report.quarantined
  assert.deepEqual(
    { ...entry },
    {
      file: first,
      offset: range[0],
      length: range[1] - range[0],
      firstLsn: lsns[2],
      lastLsn: lsns[2],
      reason: 'no whole frame',
      keptAs: entry!.keptAs,
    },
  )
  assert.deepEqual(bench.disk.content(entry!.keptAs), bytes)
  const kept = JSON.parse(bench.disk.content(entry!.keptAs.replace('.bin', '.json')).toString())
  assert.equal(kept.offset, range[0])
  assert.deepEqual(bench.keeper.losses, [[lsns[2], lsns[2]]])
  assert.deepEqual(
    [...bench.keeper.held.keys()],
    lsns.filter((_, i) => i !== 2),
  )
  assert.equal(bench.journal.status().quarantined, 1)
  await bench.clock.advance(5_000)
  await bench.kill()
  assert.deepEqual(bench.report.quarantined, [], 'a checkpoint has gone past it')
  assert.equal(bench.journal.status().quarantined, 1)
})

test('the last frame is damaged when the next one says that it was durable, and torn otherwise', async () => {
  const { bench, lsns } = await fiveMessages()
  damage(bench, first, (content) => {
    content[frameAt(content, 4) + 60]! ^= 1
    return undefined
  })
  await bench.kill()
  assert.ok(bench.report.tornBytes > 0)
  assert.deepEqual([...bench.keeper.held.keys()], lsns.slice(0, 4))
})

test('an idle journal writes down that its last round was durable, so that damage in it is told from a torn tail', async () => {
  const { bench, lsns } = await fiveMessages()
  await bench.clock.advance(5_000)
  damage(bench, first, (content) => {
    content[frameAt(content, 4) + 60]! ^= 1
    return undefined
  })
  await bench.kill()
  assert.equal(bench.report.tornBytes, 0)
  assert.deepEqual(bench.keeper.losses, [[lsns[4], lsns[4]]])
  assert.equal(bench.report.quarantined.length, 1)
})

test('damage in a segment that is not the last is never a torn tail, even at its end', async () => {
  const { bench, lsns } = await fiveMessages()
  bench.keeper.publish(1, 'x'.repeat(9000))
  await bench.commit()
  assert.ok(bench.disk.paths().includes(second))
  damage(bench, first, (content) => content.subarray(0, frameAt(content, 3)))
  await bench.kill()
  assert.deepEqual(bench.keeper.losses, [[lsns[3], lsns[4]]])
  assert.equal(bench.report.quarantined.length, 1)
  assert.deepEqual([...bench.keeper.held.keys()].slice(0, 3), lsns.slice(0, 3))
  assert.equal(bench.report.tornBytes, 0)
})

test('a segment that a checkpoint names and that is gone is reported with its messages', async () => {
  const { bench, lsns } = await fiveMessages()
  bench.keeper.publish(1, 'x'.repeat(9000))
  await bench.commit()
  await bench.close()
  bench.disk.take(first)
  await bench.open()
  assert.deepEqual(bench.keeper.losses, [[lsns[0], lsns[4]]])
  assert.deepEqual(
    bench.report.quarantined.map(({ file, reason }) => [file, reason]),
    [[first, 'the file is missing']],
  )
  assert.equal(bench.keeper.held.size, 1)
})

test('a damaged header of a segment costs no message', async () => {
  const { bench, lsns } = await fiveMessages()
  damage(bench, first, (content) => {
    content[10]! ^= 1
    return undefined
  })
  await bench.kill()
  assert.deepEqual([...bench.keeper.held.keys()], lsns)
  assert.equal(bench.report.quarantined.length, 1)
})

test('a message whose bytes were damaged after the start is reported by load, never returned', async () => {
  const bench = new Bench({ cacheBytes: 1 })
  const keeper = await bench.open()
  const lsns = Array.from({ length: 40 }, (_, i) => keeper.publish(1, `message ${i} ${'x'.repeat(1000)}`))
  await bench.commit()
  await bench.close()
  await bench.open()
  damage(bench, first, (content) => {
    content[frameAt(content, 0) + FRAME_HEADER + 50]! ^= 1
    return undefined
  })
  const damaged = await bench.wait(
    new Promise<readonly number[]>((resolve) => {
      bench.journal.load(1, lsns, resolve)
    }),
  )
  assert.ok(damaged.includes(lsns[0]!))
  assert.ok(damaged.length < lsns.length)
  assert.equal(await bench.payload(1, lsns[0]!), undefined)
  assert.equal(await bench.payload(1, lsns[39]!), `message 39 ${'x'.repeat(1000)}`)
  assert.equal(bench.journal.status().quarantined, 1)
})

test('a disk that fails to read for a while costs nothing', async () => {
  const bench = new Bench({ cacheBytes: 1 })
  const keeper = await bench.open()
  const lsns = Array.from({ length: 200 }, (_, i) => keeper.publish(1 + (i % 3), `message ${i}`))
  await bench.commit()
  // Every third read fails: whoever asks again is answered.
  let reads = 0
  bench.disk.observer = (operation) => {
    if (operation === 'read') bench.disk.faults.readError = reads++ % 3 === 0 ? 1 : 0
  }
  await bench.close()
  await bench.open()
  for (const [i, lsn] of lsns.entries()) {
    if (i % 20 === 0) assert.equal(await bench.payload(1 + (i % 3), lsn), `message ${i}`)
  }
  await bench.kill()
  assert.equal(bench.keeper.held.size, lsns.length)
  assert.deepEqual(bench.report.quarantined, [])
})

test('any flipped bit costs at most what is reported, and the start never fails', async (t) => {
  t.diagnostic(`SEED=${seed}`)
  for (let i = 0; i < 60; i++) {
    const bench = new Bench({ idleInterval: 20, cacheBytes: 1 }, {}, seed + i)
    const keeper = await bench.open()
    const payloads = new Map<number, string>()
    for (let j = 0; j < 60; j++) {
      const payload = `message ${j} ${'y'.repeat(bench.random.between(0, 400))}`
      payloads.set(keeper.publish(1 + (j % 2), payload), payload)
      if (j % 3 === 0) await bench.commit()
      if (j === 40)
        keeper.settle(
          1,
          [...keeper.held].filter(([, q]) => q.has(1)).map(([lsn]) => lsn),
        )
    }
    await bench.commit()
    if (i % 2 === 0) await bench.clock.advance(2_000)
    const held = new Map(keeper.held)
    bench.disk.kill()
    bench.clock.clear()
    const flipped = bench.disk.flip((path) => path !== 'reserve')
    await bench.open()
    const replay = `SEED=${seed + i}, flipped ${JSON.stringify(flipped)}`
    const isLost = (lsn: number) => bench.keeper.losses.some(([from, to]) => lsn >= from && lsn <= to)
    for (const [lsn, queues] of held) {
      if (!bench.keeper.held.has(lsn)) {
        assert.ok(isLost(lsn) || bench.report.tornBytes > 0, `message ${lsn} has gone unreported; ${replay}`)
        continue
      }
      const found = await bench.payload([...queues][0]!, lsn)
      const isReported = bench.journal.status().quarantined > 0
      assert.ok(found === payloads.get(lsn) || (found === undefined && isReported), replay)
    }
    await bench.close()
  }
})
