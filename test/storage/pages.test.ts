import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { Journal } from '../../src/storage/journal.ts'
import { BookKeeper } from '../../src/testing/contracts/book-keeper.ts'
import { Bench, seed, withoutPages } from './support.ts'

/** As an engine that names the page in whatever it says in a checkpoint. */
function write(bench: Bench, content: string | Buffer): number {
  const page = bench.journal.writePage(Buffer.from(content))
  bench.keeper.named.add(page)
  return page
}

function free(bench: Bench, page: number): void {
  bench.journal.freePage(page)
  bench.keeper.named.delete(page)
}

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
  await bench.open(bench.keeper.named)
}

test('a page that a checkpoint may name keeps its bytes until two younger checkpoints are durable', async () => {
  const bench = new Bench()
  await bench.open()
  const page = write(bench, 'old')
  await checkpoint(bench)
  free(bench, page)
  // The engine has written the page anew elsewhere; the old one is still what the checkpoint names.
  const taken = new Set([page, write(bench, 'new')])
  await bench.clock.advance(10)
  assert.equal(taken.size, 2)
  assert.equal(await load(bench, page), 'old')
  await checkpoint(bench)
  assert.notEqual(write(bench, 'newer'), page, 'the checkpoint before names it')
  await checkpoint(bench)
  assert.equal(write(bench, 'newest'), page)
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
  const page = write(bench, 'named by the first')
  await untilNext()
  free(bench, page)
  await untilNext()
  const other = write(bench, 'of the second')
  assert.notEqual(other, page, 'the first is what remains if the second turns out damaged')
  await untilNext()
  assert.equal(write(bench, 'of the third'), page)
})

test('a page written after the last checkpoint is nobody’s after a crash, and its room is used again', async () => {
  const bench = new Bench()
  await bench.open()
  const kept = write(bench, 'kept')
  await checkpoint(bench)
  const lost = write(bench, 'lost')
  await bench.clock.advance(10)
  await bench.crash()
  assert.equal(await load(bench, kept), 'kept')
  assert.equal(write(bench, 'next'), lost)
})

test('a page that is taken in a checkpoint and that nothing names is nobody’s, and its room is used again', async () => {
  const bench = new Bench()
  await bench.open()
  // What the engine wrote when it had said what it names, or freed before it said it.
  const orphan = bench.journal.writePage(Buffer.alloc(10_000, 1))
  const kept = write(bench, 'kept')
  await checkpoint(bench)
  await bench.crash(bench.keeper.named)
  for (let i = 0; i < 2; i++) await checkpoint(bench)
  assert.equal(Math.floor(write(bench, 'next') / 1024), Math.floor(orphan / 1024))
  assert.equal(await load(bench, kept), 'kept')
})

test('a damaged page is answered with null', async () => {
  const bench = new Bench()
  await bench.open()
  const pages = [1, 2, 3].map((i) => write(bench, `page ${i}`.repeat(100)))
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
  const pages = Array.from({ length: 50 }, () => write(bench, Buffer.alloc(10_000, 1)))
  await checkpoint(bench)
  const before = bench.disk.content('pages').length
  for (const page of pages.slice(1)) free(bench, page)
  // Nobody reads a page or writes one.
  for (let i = 0; i < 3; i++) await checkpoint(bench)
  assert.equal(before, 50 * 3 * 4096)
  assert.equal(bench.disk.content('pages').length, 3 * 4096)
})

for (const what of ['open', 'write'] as const) {
  test(`a page file whose device fails at ${what} fails the journal, which answers and closes all the same`, async () => {
    const bench = new Bench()
    await bench.open()
    const page = write(bench, 'page')
    await checkpoint(bench)
    await bench.close()
    const disk = withoutPages(bench.disk.mount(), bench.clock, what)
    const keeper = new BookKeeper()
    keeper.named.add(page)
    bench.journal = new Journal({ disk, clock: bench.clock, options: bench.options })
    const { lastLsn } = await bench.wait(bench.journal.open(keeper))
    // Otherwise there would be no checkpoint at the end, which waits for pages.
    keeper.nextLsn = lastLsn + 1
    keeper.meta('anything')
    keeper.commit(bench.journal)
    await bench.wait(keeper.durableUpTo(keeper.nextLsn - 1))
    const other = bench.journal.writePage(Buffer.from('other'))
    const loaded = Promise.all([load(bench, page), load(bench, other)])
    // While it closes, the last checkpoint waits for the page.
    await bench.close()
    assert.equal(keeper.failure?.code, 'journal-failed')
    assert.deepEqual(await loaded, [what === 'open' ? null : 'page', 'other'])
  })
}

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
        const page = write(bench, content)
        assert.ok(!pages.has(page), `page ${page} is given out twice, SEED=${from}`)
        pages.set(page, content)
        if (pages.size > 20 && bench.random.chance(0.8)) {
          const old = bench.random.pick([...pages.keys()])
          pages.delete(old)
          free(bench, old)
        }
      }
      if (bench.random.chance(0.5)) {
        await checkpoint(bench)
        named = new Map(pages)
      } else {
        await bench.clock.advance(bench.random.between(0, 5))
        await bench.crash(named.keys())
        pages.clear()
        for (const [page, content] of named) pages.set(page, content)
      }
      for (const [page, content] of pages)
        assert.ok((await load(bench, page)) === content, `page ${page}, SEED=${from}`)
    }
  }
})

test('an idle journal gives back the room of pages that were freed', async () => {
  const bench = new Bench({ idleInterval: 20 })
  const keeper = await bench.open()
  keeper.publish(1, 'kept')
  await bench.commit()
  const pages = Array.from({ length: 30 }, (_, i) => bench.journal.writePage(Buffer.alloc(5_000, i)))
  await bench.clock.advance(500)
  const before = bench.disk.content('pages').length
  for (const page of pages) bench.journal.freePage(page)
  keeper.publish(1, 'something happens')
  await bench.commit()
  await bench.clock.advance(5_000)
  assert.ok(before >= 150_000)
  assert.equal(bench.disk.content('pages').length, 0)
  assert.equal(bench.clock.nextAt(), Number.POSITIVE_INFINITY, 'no timer is left')
})
