import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { Slice, type Store, type StoreClient } from '../../engine/ports/store.ts'
import { BookKeeper, payloadOf } from './book-keeper.ts'

/** A store under test. */
export interface StoreFixture {
  /** Opened with `client`. */
  readonly store: Store
  /** Lets time pass until the promise is settled. */
  wait<T>(promise: Promise<T>): Promise<T>
  /** Closes the store and opens what it kept again, with another client. The fixture it answers has its own end. */
  reopen?(client: StoreClient): Promise<StoreFixture>
  dispose(): Promise<void>
}

export interface StoreFactory {
  readonly name: string
  create(client: StoreClient): Promise<StoreFixture>
  readonly capabilities: {
    /** Undefined: it does. Otherwise why what was stored is gone after a restart; those tests are then skipped. */
    readonly forgetsBecause?: string
  }
}

type Body = (fixture: StoreFixture, keeper: BookKeeper) => Promise<void>

/** Registers the tests that every implementation of the Store port passes. */
export function storeContract(factory: StoreFactory): void {
  const check = (what: string, body: Body, skip: string | false = false) =>
    void test(`${factory.name}: ${what}`, { skip }, async () => {
      const keeper = new BookKeeper()
      const fixture = await factory.create(keeper)
      try {
        await body(fixture, keeper)
      } finally {
        await fixture.dispose()
      }
    })
  const skip = factory.capabilities.forgetsBecause ?? false
  for (const [what, body] of Object.entries(ordering)) check(what, body)
  for (const [what, body] of Object.entries(reading)) check(what, body)
  for (const [what, body] of Object.entries(holding)) check(what, body)
  for (const [what, body] of Object.entries(paging)) check(what, body)
  for (const [what, body] of Object.entries(restarting)) check(what, body, skip)
}

const ordering: Record<string, Body> = {
  'commits are reported written, then durable, in order, and never in the turn of the commit': async (
    { store, wait },
    keeper,
  ) => {
    const told: string[] = []
    keeper.onWritten = (lsn) => told.push(`written ${lsn}`)
    keeper.onDurable = (lsn) => told.push(`durable ${lsn}`)
    const first = keeper.publish(1, 'a')
    keeper.commit(store)
    assert.deepEqual(told, [])
    await wait(keeper.durableUpTo(first))
    keeper.skip(5)
    const second = keeper.publish(1, 'b')
    keeper.commit(store)
    await wait(keeper.durableUpTo(second))
    assert.deepEqual(told, [`written ${first}`, `durable ${first}`, `written ${second}`, `durable ${second}`])
    assert.equal(store.status().durableLsn, second)
    assert.equal(store.status().unsyncedBytes, 0)
  },

  'an empty batch is nothing': async ({ store }, keeper) => {
    keeper.commit(store)
    assert.equal(store.status().unsyncedBytes, 0)
  },

  'close flushes what was committed, and may be called twice': async ({ store, wait }, keeper) => {
    const lsn = keeper.publish(1, 'a')
    keeper.commit(store)
    await wait(keeper.durableUpTo(lsn))
    await wait(Promise.all([store.close(), store.close()]))
  },
}

const reading: Record<string, Body> = {
  'a message is read right after its commit, as it was published': async ({ store }, keeper) => {
    const lsn = keeper.publish(3, 'hello')
    keeper.commit(store)
    const slice = new Slice()
    assert.equal(store.read(3, lsn, slice), true)
    assert.equal(payloadOf(slice), 'hello')
  },

  'load answers in a later turn, and what it loads can be read until it returns': async (
    { store, wait },
    keeper,
  ) => {
    const lsns = Array.from({ length: 100 }, (_, i) => keeper.publish(1 + (i % 2), `message ${i}`))
    keeper.commit(store)
    await wait(keeper.durableUpTo(lsns.at(-1)!))
    const odd = lsns.filter((_, i) => i % 2 === 1)
    let isLater = false
    const payloads = await wait(
      new Promise<string[]>((resolve) => {
        store.load(2, odd, (damaged) => {
          assert.equal(isLater, true)
          assert.deepEqual(damaged, [])
          resolve(odd.map((lsn) => readPayload(store, 2, lsn)))
        })
        isLater = true
      }),
    )
    assert.deepEqual(
      payloads,
      odd.map((_, i) => `message ${i * 2 + 1}`),
    )
  },

  'of what load is asked for, at least what must be certain can be read, and behind it no message without those before':
    async ({ store, wait }, keeper) => {
      const lsns = Array.from({ length: 300 }, (_, i) => keeper.publish(1 + (i % 3), `message ${i}`))
      keeper.commit(store)
      await wait(keeper.durableUpTo(lsns.at(-1)!))
      const asked = lsns.filter((_, i) => i % 3 === 0)
      const slice = new Slice()
      const readable = await wait(
        new Promise<boolean[]>((resolve) => {
          store.load(1, asked, () => resolve(asked.map((lsn) => store.read(1, lsn, slice))), 2)
        }),
      )
      const count = readable.indexOf(false) < 0 ? asked.length : readable.indexOf(false)
      assert.ok(count >= 2)
      assert.ok(!readable.includes(true, count))
    },

  'an LSN that was never stored cannot be read, and load says so': async ({ store, wait }, keeper) => {
    const lsn = keeper.publish(1, 'a')
    keeper.commit(store)
    assert.equal(store.read(1, lsn + 7, new Slice()), false)
    const damaged = await wait(
      new Promise<readonly number[]>((resolve) => {
        store.load(1, [lsn, lsn + 7], resolve)
      }),
    )
    assert.deepEqual(damaged, [lsn + 7])
  },

  'a slice stays what it is after its message has gone': async ({ store, wait }, keeper) => {
    const lsn = keeper.publish(1, 'kept')
    keeper.commit(store)
    const slice = new Slice()
    assert.equal(store.read(1, lsn, slice), true)
    keeper.settle(1, [lsn])
    for (let i = 0; i < 50; i++) keeper.publish(1, 'x'.repeat(1000))
    keeper.commit(store)
    await wait(keeper.durableUpTo(keeper.nextLsn - 1))
    assert.equal(payloadOf(slice), 'kept')
  },

  'scan visits the messages of one queue in a range, in order of LSN': async ({ store, wait }, keeper) => {
    const lsns = Array.from({ length: 600 }, (_, i) => keeper.publish(i % 3 === 0 ? [1, 2] : [2], `m${i}`))
    const settled = lsns.filter((_, i) => i % 6 === 0)
    keeper.settle(1, settled)
    keeper.settle(2, settled)
    keeper.commit(store)
    const [first, last] = [lsns[10]!, lsns[500]!]
    const visited: number[] = []
    await wait(
      new Promise<void>((resolve) => {
        store.scan(
          1,
          first,
          last,
          (lsn, message) => {
            assert.equal(payloadOf(message), `m${lsns.indexOf(lsn)}`)
            visited.push(lsn)
          },
          resolve,
        )
      }),
    )
    assert.deepEqual(
      visited,
      lsns.filter((lsn, i) => i % 3 === 0 && i % 6 !== 0 && lsn >= first && lsn <= last),
    )
  },
}

const holding: Record<string, Body> = {
  'a message lives until every queue that holds it has settled it': async ({ store }, keeper) => {
    const lsn = keeper.publish([1, 2, 3], 'shared')
    keeper.commit(store)
    assert.ok(store.status().liveBytes > 0)
    keeper.settle(1, [lsn])
    keeper.settle(3, [lsn])
    keeper.commit(store)
    assert.ok(store.status().liveBytes > 0)
    keeper.settle(2, [lsn])
    keeper.commit(store)
    assert.equal(store.status().liveBytes, 0)
  },

  'a message that no queue holds is dead at once': async ({ store }, keeper) => {
    keeper.publish([], 'nobody')
    keeper.commit(store)
    assert.equal(store.status().liveBytes, 0)
  },

  'runs of a settlement may pass over LSNs that were never stored': async ({ store }, keeper) => {
    const first = keeper.publish(1, 'a')
    keeper.skip(3)
    const second = keeper.publish(1, 'b')
    keeper.commit(store)
    keeper.settle(1, [first, first + 1, first + 2, first + 3, second])
    keeper.commit(store)
    assert.equal(store.status().liveBytes, 0)
  },

  'a publish may take the place of a message': async ({ store }, keeper) => {
    const lsn = keeper.publish(1, 'x'.repeat(500))
    keeper.commit(store)
    const before = store.status().liveBytes
    keeper.publish(2, 'dead', { replaces: [1, lsn] })
    keeper.commit(store)
    assert.ok(store.status().liveBytes < before)
  },

  'a chunk lives as long as a message that lists it, and may be shared': async ({ store }, keeper) => {
    const chunks = [keeper.chunk('one'), keeper.chunk('two')]
    const lsn = keeper.publish(1, '', { chunks })
    keeper.commit(store)
    const letter = keeper.publish(2, '', { chunks, replaces: [1, lsn] })
    keeper.commit(store)
    const slice = new Slice()
    assert.equal(store.chunk(chunks[1]!, slice), true)
    assert.equal(Buffer.from(slice.bytes.subarray(slice.start, slice.end)).toString(), 'two')
    keeper.settle(2, [letter])
    keeper.commit(store)
    assert.equal(store.status().liveBytes, 0)
  },
}

const paging: Record<string, Body> = {
  'a page is what was written, large or small, until it is freed': async ({ store, wait }) => {
    const contents = [10, 4080, 4096, 60_000].map((size) => Buffer.alloc(size, size % 251))
    const pages = contents.map((bytes) => store.writePage(bytes))
    assert.equal(new Set(pages).size, pages.length)
    for (const [i, page] of pages.entries()) {
      assert.deepEqual(Buffer.from((await loadPage(store, wait, page))!), contents[i])
    }
    for (const page of pages) store.freePage(page)
  },

  'the store keeps its own copy of a page': async ({ store, wait }) => {
    const bytes = Buffer.from('original')
    const page = store.writePage(bytes)
    bytes.fill(0)
    assert.equal(Buffer.from((await loadPage(store, wait, page))!).toString(), 'original')
  },
}

const restarting: Record<string, Body> = {
  'after a restart the engine hears of everything, once, in order': async (fixture, keeper) => {
    const lsns = Array.from({ length: 200 }, (_, i) => keeper.publish(1 + (i % 4), `m${i}`))
    keeper.commit(fixture.store)
    await fixture.wait(keeper.durableUpTo(lsns.at(-1)!))
    keeper.settle(2, lsns.filter((_, i) => i % 4 === 1).slice(0, 10))
    keeper.commit(fixture.store)
    await fixture.wait(keeper.durableUpTo(keeper.nextLsn - 1))
    const next = new BookKeeper()
    await using again = await reopened(fixture, next)
    const { store, wait } = again
    assert.deepEqual(next.held, keeper.held)
    const [lsn, queues] = [...next.held].at(-1)!
    const [queue] = [...queues]
    await wait(new Promise<void>((resolve) => store.load(queue!, [lsn], () => resolve())))
    assert.ok(store.status().liveBytes > 0)
  },

  'after a restart LSNs go on above all that were ever stored': async (fixture, keeper) => {
    const lsn = keeper.publish(1, 'a')
    keeper.commit(fixture.store)
    await fixture.wait(keeper.durableUpTo(lsn))
    const next = new BookKeeper()
    await using again = await reopened(fixture, next)
    const { store, wait } = again
    assert.ok(next.nextLsn > lsn)
    const other = next.publish(1, 'b')
    next.commit(store)
    await wait(next.durableUpTo(other))
    assert.equal(readPayload(store, 1, other), 'b')
  },

  'a page that a checkpoint names is there after a restart': async (fixture, keeper) => {
    const page = fixture.store.writePage(Buffer.from('index'))
    const lsn = keeper.publish(1, 'a')
    keeper.commit(fixture.store)
    await fixture.wait(keeper.durableUpTo(lsn))
    const next = new BookKeeper()
    next.named.add(page)
    await using again = await reopened(fixture, next)
    const { store, wait } = again
    assert.equal(Buffer.from((await loadPage(store, wait, page))!).toString(), 'index')
  },
}

async function reopened(fixture: StoreFixture, client: BookKeeper): Promise<StoreFixture & AsyncDisposable> {
  const again = await fixture.reopen!(client)
  return { ...again, [Symbol.asyncDispose]: () => again.dispose() }
}

function readPayload(store: Store, queue: number, lsn: number): string {
  const slice = new Slice()
  assert.equal(store.read(queue, lsn, slice), true, `message ${lsn} can be read`)
  return payloadOf(slice)
}

function loadPage(store: Store, wait: StoreFixture['wait'], page: number): Promise<Uint8Array | null> {
  return wait(new Promise((resolve) => store.loadPage(page, resolve)))
}
