import type { StartReport } from '../../engine/api.ts'
import { Broker } from '../../engine/broker.ts'
import type { EngineOptions } from '../../engine/options.ts'
import type { Store } from '../../engine/ports/store.ts'
import type { Disk } from '../../storage/disk.ts'
import { Journal } from '../../storage/journal.ts'
import type { JournalOptions } from '../../storage/options.ts'
import { FaultyDisk } from '../faulty-disk.ts'
import type { SeededRandom } from '../random.ts'
import type { VirtualClock } from '../virtual-clock.ts'
import { property, selectable } from './choices.ts'
import { Violation } from './violation.ts'

/** Collaborators to put between the real parts, for tests of the simulation itself. */
export interface Tampering {
  disk?(disk: Disk): Disk
  store?(store: Store): Store
  broker?(broker: Broker): Broker
}

export type MachineEnd = 'closed' | 'killed' | 'power cut'

/** More events than any start or stop needs: beyond, something goes round in circles. */
const PATIENCE = 400_000

/** A computer with one disk, on which the broker runs, ends and runs again: the real engine on the real journal. */
export class Machine {
  readonly clock: VirtualClock
  readonly disk: FaultyDisk
  /** Null while there is none that answers. */
  broker: Broker | null = null
  /** A broker that has ended had found damage while it ran, and said so. */
  hasReportedDamage = false
  private readonly random: SeededRandom
  private readonly options: { journal: Partial<JournalOptions>; engine: EngineOptions; tampering: Tampering }
  private fault: Error | null = null
  private damageAtStart = 0
  /** Rises when the present process ends. */
  private life = 0

  constructor(
    parts: { clock: VirtualClock; random: SeededRandom },
    options: { journal: Partial<JournalOptions>; engine: EngineOptions; tampering: Tampering },
  ) {
    this.clock = parts.clock
    this.random = parts.random.fork()
    this.options = options
    this.disk = new FaultyDisk(this.clock, parts.random.fork())
  }

  /** Starts the broker. Undefined when the machine ended meanwhile; throws what the broker's `open` throws. */
  async boot(): Promise<StartReport | undefined> {
    const { tampering, journal, engine } = this.options
    const mount = this.disk.mount()
    const disk = tampering.disk?.(mount) ?? mount
    const real = new Journal({ disk, clock: this.clock, options: journal })
    const store = tampering.store?.(real) ?? real
    const contents = {
      property,
      selectable,
      deduplicationId: () => undefined,
    }
    const whole = new Broker({ store, clock: this.clock, random: this.random, contents }, engine)
    const broker = tampering.broker?.(whole) ?? whole
    const life = this.life
    const report = await this.complete(broker.open(), 'open')
    if (life !== this.life) return undefined
    this.broker = broker
    this.damageAtStart = report?.quarantined.length ?? 0
    return report
  }

  /** Ends the broker in good order. False when the machine ended meanwhile. */
  async shutDown(): Promise<boolean> {
    const { broker, life } = this
    if (broker === null) return false
    this.broker = null
    await this.complete(broker.close(), 'close')
    this.lookForDamage(broker)
    if (life !== this.life) return false
    this.end()
    return true
  }

  powerCut(): void {
    this.end()
    this.disk.crash()
  }

  kill(): void {
    this.end()
    this.disk.kill()
  }

  /** Runs up to `count` events, each in a turn of its own, as a host's event loop would. */
  async run(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      await turn()
      this.check()
      if (!this.clock.step()) return
    }
    await turn()
    this.check()
  }

  /** Runs events until `isDone`, for at most `milliseconds` of virtual time. Answers whether it was. */
  async runUntil(isDone: () => boolean, milliseconds: number): Promise<boolean> {
    const until = this.clock.monotonic() + milliseconds
    for (let left = PATIENCE; left > 0; left--) {
      await turn()
      this.check()
      if (isDone()) return true
      if (this.clock.nextAt() > until) return false
      this.clock.step()
    }
    throw new Violation('progress', `${PATIENCE} events in ${milliseconds} ms and no end`)
  }

  /** Something threw where nobody catches: the run ends with it. */
  failed(error: unknown): void {
    this.fault ??= error instanceof Error ? error : new Error(String(error))
  }

  private check(): void {
    if (this.fault !== null) throw this.fault
  }

  private lookForDamage(broker: Broker): void {
    if (broker.store().quarantined > this.damageAtStart) this.hasReportedDamage = true
  }

  private end(): void {
    this.life++
    if (this.broker !== null) this.lookForDamage(this.broker)
    this.broker = null
    this.clock.clear()
  }

  /** Lets events happen until the promise is settled or the machine has ended; undefined then. */
  private async complete<T>(promise: Promise<T>, what: string): Promise<T | undefined> {
    const { life } = this
    let outcome: { value: T } | { error: unknown } | undefined
    promise.then(
      (value) => {
        outcome = { value }
      },
      (error: unknown) => {
        outcome = { error }
      },
    )
    const isDone = (): boolean => outcome !== undefined || life !== this.life
    if (!(await this.runUntil(isDone, Number.MAX_SAFE_INTEGER))) {
      throw new Violation('progress', `${what} waits for something that never comes`)
    }
    if (outcome === undefined) return undefined
    if ('error' in outcome) throw outcome.error
    return outcome.value
  }
}

/** Promises run on, as they do between two events of a host. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
