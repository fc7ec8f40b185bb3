import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import { ByteWriter, OperationReader } from '../../src/engine/ports/operations.ts'
import type { Store } from '../../src/engine/ports/store.ts'
import { comesBefore, DueEntry } from '../../src/engine/schedule/due-entry.ts'
import { DueIndex } from '../../src/engine/schedule/due-index.ts'
import { DuePages } from '../../src/engine/schedule/due-pages.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { seed } from './seed.ts'

/** Pages in memory; loads are answered when the test says so. */
class PageStore {
  readonly pages: Map<number, Uint8Array> = new Map()
  readonly freed: Set<number> = new Set()
  readonly loads: (() => void)[] = []
  written = 0
  private next = 1

  writePage(bytes: Uint8Array): number {
    this.written++
    this.pages.set(this.next, Uint8Array.from(bytes))
    return this.next++
  }

  loadPage(page: number, done: (bytes: Uint8Array | null) => void): void {
    this.loads.push(() => done(this.pages.get(page) ?? null))
  }

  freePage(page: number): void {
    assert.ok(this.pages.has(page) && !this.freed.has(page), `page ${page} is freed once`)
    this.freed.add(page)
  }

  /** What a checkpoint does not name is used again; until then it can still be read. */
  checkpoint(): void {
    for (const page of this.freed) this.pages.delete(page)
    this.freed.clear()
  }

  /** A damaged page is made of the messages; here there are none. */
  scan(): void {
    assert.fail('a page that a checkpoint names was freed')
  }

  answer(count: number): void {
    for (let left = count; left > 0 && this.loads.length > 0; left--) this.loads.shift()!()
  }
}

/** An index with room for a handful of entries, and the sorted list that says what it must do. */
class Trial {
  readonly random: SeededRandom
  readonly store = new PageStore()
  readonly model: DueEntry[] = []
  index!: DueIndex
  lsn = 0
  now = 0
  removed = 0

  constructor(random: SeededRandom) {
    this.random = random
    this.open()
  }

  open(): void {
    this.index = new DueIndex(new DuePages(this.store as unknown as Store, () => false), {
      entries: 8,
      durable: () => this.lsn,
      isStopped: () => false,
    })
  }

  add(): void {
    const entry = new DueEntry()
    entry.at = this.now + this.random.between(0, 300)
    entry.lsn = ++this.lsn
    entry.size = this.random.between(0, 1_000)
    entry.target = this.random.between(0, 3)
    this.index.add(entry)
    this.model.push(entry)
    this.model.sort((a, b) => (comesBefore(a, b) ? -1 : 1))
  }

  /** Takes all that is due, in the order of the model. */
  take(): void {
    const entry = new DueEntry()
    for (;;) {
      const taken = this.index.take(this.now, entry)
      if (taken === 'none') break
      if (taken === 'unloaded') {
        let isLoaded = false
        this.index.load(() => {
          isLoaded = true
        })
        while (!isLoaded) this.store.answer(1)
        continue
      }
      assert.equal(taken, 'taken')
      assert.deepEqual({ ...entry }, { ...this.model.shift() })
    }
    assert.ok(this.model.length === 0 || this.model[0]!.at > this.now, 'nothing that is due stays')
  }

  remove(): void {
    const known = this.random.chance(0.8) && this.model.length > 0
    const entry = known
      ? this.model[this.random.between(0, this.model.length - 1)]!
      : { at: this.now, lsn: this.lsn + 1, flags: 0 }
    let answer: boolean | undefined
    this.index.remove(entry, (removed) => {
      answer = removed
    })
    while (answer === undefined) this.store.answer(1)
    assert.equal(answer, known)
    if (known) this.model.splice(this.model.indexOf(entry as DueEntry), 1)
    this.removed++
  }

  scan(): void {
    const target = this.random.between(0, 3)
    const found: number[] = []
    let after: { at: number; lsn: number } | undefined = { at: -1, lsn: 0 }
    while (after !== undefined) {
      let isDone = false
      this.index.scan(
        { after, limit: 5, most: 20 },
        [],
        (entry) => entry.target === target,
        (page, last) => {
          for (const { entry } of page) found.push(entry.lsn)
          after = last
          isDone = true
        },
      )
      while (!isDone) this.store.answer(1)
    }
    assert.deepEqual(
      found,
      this.model.filter((entry) => entry.target === target).map(({ lsn }) => lsn),
    )
  }

  /** What a checkpoint contains makes another index of the same entries. */
  restart(): void {
    const writer = new ByteWriter()
    this.index.write(writer, [])
    // Loads that were under way are never answered.
    this.store.loads.length = 0
    this.store.checkpoint()
    this.open()
    const reader = new OperationReader().reset(writer.bytes, 0, writer.length)
    this.index.read(reader)
    assert.equal(reader.failed, false)
    this.index.start()
  }

  /** At replay an entry leaves by its number alone. */
  replayLeaving(): void {
    if (this.model.length === 0) return
    const [entry] = this.model.splice(this.random.between(0, this.model.length - 1), 1)
    this.index.left(entry!.lsn)
  }
}

suite('the index of due times does what a sorted list does (docs/adr)', () => {
  test('added, taken, removed, listed, checkpointed and replayed, with memory for eight and pages of four', (t) => {
    t.diagnostic(`SEED=${seed}`)
    const random = new SeededRandom(seed)
    const trial = new Trial(random)
    for (let step = 0; step < 1_200; step++) {
      const what = random.next()
      if (what < 0.7) for (let i = random.between(1, 8); i > 0; i--) trial.add()
      else if (what < 0.8) trial.remove()
      else if (what < 0.84) trial.scan()
      else if (what < 0.86) {
        trial.restart()
        for (let i = random.between(0, 3); i > 0; i--) trial.replayLeaving()
      } else {
        trial.now += random.between(0, 12)
        trial.take()
      }
      // Merges get on now and then.
      if (random.chance(0.5)) trial.store.answer(random.between(1, 4))
    }
    const left = trial.model.length
    trial.now += 1_000
    trial.take()
    t.diagnostic(`${trial.lsn} entries, ${trial.store.written} pages, ${left} at the end`)
    assert.ok(left > 50 && trial.removed > 50, 'there was something to get wrong')
    assert.equal(trial.index.nextAt(), Number.POSITIVE_INFINITY)
  })
})
