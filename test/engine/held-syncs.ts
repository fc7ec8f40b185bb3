import type { EngineOptions } from '../../src/engine/options.ts'
import type { Disk } from '../../src/storage/disk.ts'
import { Journal } from '../../src/storage/journal.ts'
import { Bench, smallJournal } from './support.ts'

/** Syncs of a disk that wait while they are held back. */
export class HeldSyncs {
  isHolding = false
  private waiting: (() => void)[] = []

  release(): void {
    this.isHolding = false
    for (const sync of this.waiting.splice(0)) sync()
  }

  wrap(disk: Disk): Disk {
    const sync: Disk['sync'] = (file, done) => {
      if (this.isHolding) this.waiting.push(() => disk.sync(file, done))
      else disk.sync(file, done)
    }
    return new Proxy(disk, {
      get(target, name) {
        if (name === 'sync') return sync
        const member: unknown = Reflect.get(target, name)
        return typeof member === 'function' ? member.bind(target) : member
      },
    })
  }

  /** A broker on the journal whose disk syncs only when it may. */
  bench(options: EngineOptions = {}): Promise<Bench> {
    return Bench.on(
      (bench) =>
        new Journal({ disk: this.wrap(bench.disk.mount()), clock: bench.clock, options: smallJournal }),
      options,
    )
  }
}
