import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import { Slice } from '../../src/engine/ports/store.ts'
import { Journal } from '../../src/storage/journal.ts'
import { BookKeeper } from '../../src/testing/contracts/book-keeper.ts'
import { Bench, passUntil } from './support.ts'

const KiB = 1024
const QUEUES = 40
const ROUNDS = 200
const payload = 'x'.repeat(200)

interface Loaded {
  readonly queue: number
  /** Of the messages that were asked for, those that could be read then. */
  readonly readable: number[]
}

/** Queues that take turns in the journal, and a journal just opened, which has nothing of them in memory. */
async function interleaved(
  cacheBytes: number,
  queues = QUEUES,
  rounds = ROUNDS,
): Promise<{ bench: Bench; lsns: Map<number, number[]> }> {
  const options = { segmentBytes: 4096 * KiB, cacheBytes, compaction: false }
  const bench = new Bench(options, { delay: { min: 1, max: 3 } })
  const keeper = await bench.open()
  const lsns = new Map<number, number[]>()
  for (let round = 0; round < rounds; round++) {
    for (let queue = 1; queue <= queues; queue++) {
      const lsn = keeper.publish(queue, payload)
      lsns.set(queue, [...(lsns.get(queue) ?? []), lsn])
    }
    await bench.commit()
  }
  await bench.close()
  await bench.open()
  bench.disk.calls.read = 0
  return { bench, lsns }
}

/** Loads of several queues at once. */
function loadAll(
  bench: Bench,
  asked: ReadonlyMap<number, readonly number[]>,
  certain?: number,
): Promise<Loaded[]> {
  const slice = new Slice()
  const loads = [...asked].map(
    ([queue, lsns]) =>
      new Promise<Loaded>((resolve) => {
        const done = (): void => {
          resolve({ queue, readable: lsns.filter((lsn) => bench.journal.read(queue, lsn, slice)) })
        }
        bench.journal.load(queue, lsns, done, certain)
      }),
  )
  return bench.wait(Promise.all(loads))
}

suite('reading for many queues at once', () => {
  test('what lies side by side is read once for all of them', async () => {
    const { bench, lsns } = await interleaved(512 * KiB)
    const asked = new Map([...lsns].map(([queue, all]) => [queue, all.slice(0, 20)]))
    for (const { queue, readable } of await loadAll(bench, asked)) {
      assert.deepEqual(readable, asked.get(queue))
    }
    const bytes = QUEUES * 20 * (payload.length + 60)
    const stretches = Math.ceil(bytes / (16 * KiB)) + 1
    assert.ok(bench.disk.calls.read <= stretches, `${bench.disk.calls.read} reads for ${stretches} stretches`)
  })

  test('no more than two reads are under way, however many wait', async () => {
    const { bench, lsns } = await interleaved(512 * KiB)
    await bench.close()
    let underWay = 0
    let most = 0
    const disk = bench.disk.mount()
    const read = disk.read.bind(disk)
    disk.read = (file, into, position, done) => {
      most = Math.max(most, ++underWay)
      read(file, into, position, (error, count) => {
        underWay--
        done(error, count)
      })
    }
    const { clock, options } = bench
    bench.journal = new Journal({ disk, clock, options })
    await passUntil(clock, bench.journal.open(new BookKeeper()))
    most = 0
    await loadAll(bench, lsns)
    assert.equal(most, 2)
  })

  test('from its head on, a queue gets what lies near; more only when it says that it must have it', async () => {
    const { bench, lsns } = await interleaved(256 * KiB)
    const asked = new Map([[7, lsns.get(7)!]])
    const [head] = await loadAll(bench, asked, 1)
    const count = head!.readable.length
    assert.deepEqual(head!.readable, lsns.get(7)!.slice(0, count))
    assert.ok(count > 1, 'others come along')
    assert.ok(count < ROUNDS / 4, `${count} came along, from all over the journal`)
    const last = new Map([[7, [lsns.get(7)![0]!, lsns.get(7)!.at(-1)!]]])
    assert.deepEqual((await loadAll(bench, last, 2))[0]!.readable, last.get(7))
  })

  test('hundreds of queues side by side get more of the cache, and each more at a time', async () => {
    const { bench, lsns } = await interleaved(1024 * KiB, 600, 40)
    const [alone] = await loadAll(bench, new Map([[7, lsns.get(7)!]]), 1)
    let most = 0
    for (const { queue, readable } of await loadAll(bench, lsns, 1)) {
      assert.deepEqual(readable, lsns.get(queue)!.slice(0, readable.length))
      assert.ok(readable.length > 0)
      most = Math.max(most, readable.length)
    }
    assert.ok(most >= 2 * alone!.readable.length, `${most}, alone ${alone!.readable.length}`)
  })

  test('queues that go through the journal together read it about once', async () => {
    const { bench, lsns } = await interleaved(256 * KiB)
    const left = new Map([...lsns].map(([queue, all]) => [queue, [...all]]))
    while (left.size > 0) {
      for (const { queue, readable } of await loadAll(bench, left, 1)) {
        assert.ok(readable.length > 0)
        const rest = left.get(queue)!.slice(readable.length)
        if (rest.length > 0) left.set(queue, rest)
        else left.delete(queue)
      }
    }
    const journal = bench.disk.paths().filter((path) => path.endsWith('.segment'))
    const bytes = journal.reduce((sum, path) => sum + bench.disk.content(path).length, 0)
    const once = bytes / (16 * KiB)
    const { read } = bench.disk.calls
    assert.ok(read <= once * 1.5, `${read} reads of a journal of ${Math.ceil(once)} stretches`)
  })
})
