import { MemoryStore } from '../engine/memory/store.ts'
import type { EngineOptions } from '../engine/options.ts'
import type { Clock } from '../engine/ports/clock.ts'
import type { Random } from '../engine/ports/random.ts'
import { Journal } from '../storage/journal.ts'
import { lockDirectory } from '../storage/lock.ts'
import { NodeDisk } from '../storage/node-disk.ts'
import type { JournalOptions } from '../storage/options.ts'
import type { AttachPoint } from './attach-point.ts'
import { HostClock, hostRandom } from './host.ts'
import { journalChannel } from './journal-channel.ts'
import { type Ended, SharedBroker } from './shared-brokers.ts'

export interface EmbeddedOptions extends EngineOptions {
  /** How the journal of a `file:` broker uses its directory. */
  readonly journal?: Partial<JournalOptions> | undefined
  /** Time and randomness, for tests; by default the host's. */
  readonly clock?: Clock | undefined
  readonly random?: Random | undefined
}

/** A broker that ends with its connections. With `attachPoint`, it serves there. */
export function openMemory(
  options: EmbeddedOptions,
  ended: Ended,
  attachPoint?: AttachPoint,
): Promise<SharedBroker> {
  const { clock = new HostClock(), random = hostRandom } = options
  const store = new MemoryStore(clock)
  return SharedBroker.open({ store, clock, random, release: () => {}, attachPoint, options }, ended)
}

/** The broker of a directory, which it owns and at which it serves other processes. Rejects with `directory-locked`. */
export async function openDirectory(
  directory: string,
  options: EmbeddedOptions,
  ended: Ended,
): Promise<SharedBroker> {
  const { clock = new HostClock(), random = hostRandom, journal = {} } = options
  // Loaded for directories alone: a broker in memory needs no network.
  const { AttachPoint } = await import('./attach-point.ts')
  const lock = lockDirectory(directory)
  const attachPoint = AttachPoint.announce(directory)
  const store = new Journal({
    disk: new NodeDisk(directory),
    clock,
    options: journal,
    watch: journalChannel(directory),
  })
  const release = () => lock.release()
  return SharedBroker.open({ store, clock, random, release, attachPoint, options }, ended)
}
