import type { MillraceError } from '../model/errors.ts'
import type { Core } from './core.ts'
import type { Dispatcher } from './dispatcher.ts'
import type { StoreClient } from './ports/store.ts'
import type { Publisher } from './publisher.ts'
import type { Recovery } from './recovery.ts'
import type { Firing } from './schedule/firing.ts'
import type { Snapshots } from './snapshot.ts'

/** Who hears what the store tells. */
interface Listeners {
  readonly core: Core
  readonly dispatcher: Dispatcher
  readonly publisher: Publisher
  readonly firing: Firing
  readonly snapshots: Snapshots
  readonly recovery: Recovery
}

/** The engine as its store sees it: what is read back goes to recovery, what has become durable to those who wait for it. */
export class StoreEvents implements StoreClient {
  private readonly listeners: Listeners

  constructor(listeners: Listeners) {
    this.listeners = listeners
  }

  restore(section: Uint8Array): void {
    this.listeners.snapshots.restore(section)
  }

  apply(lsn: number, type: number, bytes: Uint8Array, start: number, end: number): void {
    this.listeners.recovery.apply(lsn, type, bytes, start, end)
  }

  pages(): Iterable<number> {
    return this.listeners.snapshots.pages()
  }

  snapshot(): Iterable<Uint8Array> {
    return this.listeners.snapshots.take()
  }

  lost(): void {
    // The report of the recovery says it too; the messages are found to be damaged when they are to be delivered.
  }

  written(lsn: number): void {
    const { core, dispatcher } = this.listeners
    core.log.written = lsn
    core.confirms.written(lsn)
    dispatcher.advanced()
  }

  durable(lsn: number): void {
    const { core, dispatcher, firing } = this.listeners
    core.log.becameDurable(lsn)
    core.confirms.written(lsn)
    core.confirms.durable(lsn)
    firing.durable()
    dispatcher.advanced()
  }

  space(available: boolean): void {
    const { core } = this.listeners
    core.spaceAvailable = available
    for (const connection of core.connections.values()) core.tellSpace(connection)
  }

  /**
   * The journal has failed: what waits for it gets no confirm, ever. Everybody is told once, and after the confirms of what has
   * got there: who hears of the failure takes all that he has no answer for as undecided.
   */
  failed(error: MillraceError): void {
    const { core, publisher } = this.listeners
    core.ended = error
    core.confirms.finish(error)
    publisher.end(error)
    core.tell()
    for (const { sink } of [...core.connections.values()]) sink.failed(error)
  }
}
