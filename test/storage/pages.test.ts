import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { Bench, seed } from './support.ts'

function load(bench: Bench, page: number): Promise<string | null> {
  return bench.wait(
    new Promise((resolve) => {
      bench.journal.loadPage(page, (bytes) => resolve(bytes ? Buffer.from(bytes).toString() : null))
    }),
  )
}

/** A restart in order, with something new to write a checkpoint for. */
async function checkpoint(bench: Bench): Promise<void> {
  bench.keeper.meta('anything')
  await bench.commit()
  await bench.close()
  await bench.open()
}

test('a page that a checkpoint may name keeps its bytes until two younger checkpoints are durable', async () => {
  const bench = new Bench()
  await bench.open()
  const page = bench.journal.writePage(Buffer.from('old'))
  await checkpoint(bench)
  bench.journal.freePage(page)
  // The engine has written the page anew elsewhere; the old one is still what the checkpoint names.
  const taken = new Set([page, bench.journal.writePage(Buffer.from('new'))])
  await bench.clock.advance(10)
  assert.equal(taken.size, 2)
  assert.equal(await load(bench, page), 'old')
  await checkpoint(bench)
  assert.notEqual(bench.journal.writePage(Buffer.from('newer')), page, 'the checkpoint before names it')
  await checkpoint(bench)
  assert.equal(bench.journal.writePage(Buffer.from('newest')), page)
})

test('within one process too: a page freed before a checkpoint waits for the one after it', async () => {
  const bench = new Bench({ idleInterval: 1e9 })
  const keeper = await bench.open()
  const newest = () =>
    bench.disk
      .paths()
      .filter((path) => path.startsWith('checkpoint-'))
      .at(-1)
  const untilNext = async () => {
    const before = newest()
    for (let i = 0; i < 200 && newest() === before; i++) {
      keeper.meta('m'.repeat(2000))
      await bench.commit()
    }
    await bench.clock.advance(100)
  }
  const page = bench.journal.writePage(Buffer.from('named by the first'))
  await untilNext()
  bench.journal.freePage(page)
  await untilNext()
  const other = bench.journal.writePage(Buffer.from('of the second'))
  assert.notEqual(other, page, 'the first is what remains if the second turns out damaged')
  await untilNext()
  assert.equal(bench.journal.writePage(Buffer.from('of the third')), page)
})

test('a page written after the last checkpoint is nobody’s after a crash, and its room is used again', async () => {
  const bench = new Bench()
  await bench.open()
  const kept = bench.journal.writePage(Buffer.from('kept'))
  await checkpoint(bench)
  const lost = bench.journal.writePage(Buffer.from('lost'))
  await bench.clock.advance(10)
  await bench.crash()
  assert.equal(await load(bench, kept), 'kept')
  assert.equal(bench.journal.writePage(Buffer.from('next')), lost)
})

test('a damaged page is answered with null', async () => {
  const bench = new Bench()
  await bench.open()
  const pages = [1, 2, 3].map((i) => bench.journal.writePage(Buffer.from(`page ${i}`.repeat(100))))
  await checkpoint(bench)
  const content = bench.disk.content('pages')
  content[4096 + 100]! ^= 1
  bench.disk.place('pages', content)
  await bench.crash()
  assert.equal(await load(bench, pages[0]!), 'page 1'.repeat(100))
  assert.equal(await load(bench, pages[1]!), null)
  assert.equal(await load(bench, pages[2]!), 'page 3'.repeat(100))
  bench.disk.take('pages')
  await bench.crash()
  assert.equal(await load(bench, pages[2]!), null)
})

test('the page file shrinks when its end is free', async () => {
  const bench = new Bench()
  await bench.open()
  const pages = Array.from({ length: 50 }, () => bench.journal.writePage(Buffer.alloc(10_000, 1)))
  await checkpoint(bench)
  const before = bench.disk.content('pages').length
  for (const page of pages.slice(1)) bench.journal.freePage(page)
  for (let i = 0; i < 3; i++) await checkpoint(bench)
  assert.equal(before, 50 * 3 * 4096)
  // Somebody has to open the file: a journal that never needs it leaves it alone.
  bench.journal.writePage(Buffer.from('x'))
  await bench.clock.advance(10)
  await checkpoint(bench)
  assert.ok(bench.disk.content('pages').length <= 4 * 4096)
})

test('pages are what was written through any number of crashes', async (t) => {
  t.diagnostic(`SEED=${seed}`)
  for (let from = seed; from < seed + 6; from++) {
    const bench = new Bench({}, { delay: { min: 0, max: 3 }, torn: 0.3 }, from)
    await bench.open()
    /** Pages of the last checkpoint, and pages now. */
    let named = new Map<number, string>()
    const pages = new Map<number, string>()
    for (let round = 0; round < 12; round++) {
      for (let i = 0; i < 15; i++) {
        const content = `page ${round}.${i} ${'z'.repeat(bench.random.between(0, 9000))}`
        const page = bench.journal.writePage(Buffer.from(content))
        assert.ok(!pages.has(page), `page ${page} is given out twice, SEED=${from}`)
        pages.set(page, content)
        if (pages.size > 20 && bench.random.chance(0.8)) {
          const old = bench.random.pick([...pages.keys()])
          pages.delete(old)
          bench.journal.freePage(old)
        }
      }
      if (bench.random.chance(0.5)) {
        await checkpoint(bench)
        named = new Map(pages)
      } else {
        await bench.clock.advance(bench.random.between(0, 5))
        await bench.crash()
        pages.clear()
        for (const [page, content] of named) pages.set(page, content)
      }
      for (const [page, content] of pages)
        assert.ok((await load(bench, page)) === content, `page ${page}, SEED=${from}`)
    }
  }
})
