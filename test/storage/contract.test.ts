import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MemoryStore } from '../../src/engine/memory/store.ts'
import type { StoreClient } from '../../src/engine/ports/store.ts'
import { Journal } from '../../src/storage/journal.ts'
import { NodeDisk } from '../../src/storage/node-disk.ts'
import type { BookKeeper } from '../../src/testing/contracts/book-keeper.ts'
import { type StoreFixture, storeContract } from '../../src/testing/contracts/store.ts'
import { FaultyDisk } from '../../src/testing/faulty-disk.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'
import { passUntil, realClock, seed, smallJournal } from './support.ts'

storeContract({
  name: 'memory store',
  capabilities: { forgetsBecause: 'it keeps nothing across a restart' },
  create: async (client) => {
    const clock = new VirtualClock()
    const store = new MemoryStore(clock)
    await store.open(client)
    return { store, wait: (promise) => passUntil(clock, promise), dispose: () => store.close() }
  },
})

storeContract({
  name: 'journal on a simulated disk',
  capabilities: {},
  create: (client) => {
    const clock = new VirtualClock()
    const random = new SeededRandom(seed)
    return simulated(clock, new FaultyDisk(clock, random, { delay: { min: 0.1, max: 3 } }), client)
  },
})

storeContract({
  name: 'journal on the real disk',
  capabilities: {},
  create: async (client) => real(await mkdtemp(join(tmpdir(), 'millrace-contract-')), client),
})

async function simulated(clock: VirtualClock, disk: FaultyDisk, client: StoreClient): Promise<StoreFixture> {
  const store = new Journal({ disk: disk.mount(), clock, options: smallJournal })
  const wait = <T>(promise: Promise<T>) => passUntil(clock, promise)
  const report = await wait(store.open(client))
  ;(client as BookKeeper).nextLsn = report.lastLsn + 1
  const close = () => wait(store.close())
  const reopen = async (next: StoreClient) => {
    await close()
    return simulated(clock, disk, next)
  }
  return { store, wait, reopen, dispose: close }
}

async function real(directory: string, client: StoreClient): Promise<StoreFixture> {
  const store = new Journal({ disk: new NodeDisk(directory), clock: realClock, options: smallJournal })
  const report = await store.open(client)
  ;(client as BookKeeper).nextLsn = report.lastLsn + 1
  return {
    store,
    wait: (promise) => promise,
    reopen: async (next) => {
      await store.close()
      return real(directory, next)
    },
    dispose: async () => {
      await store.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
}
