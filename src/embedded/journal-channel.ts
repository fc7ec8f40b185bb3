import { channel } from 'node:diagnostics_channel'
import type { JournalWatch } from '../storage/watch.ts'

/** For whoever wants to show or measure it: { event, directory, … } with the facts that JournalWatch has. */
const journal = channel('millrace:journal')

/** Publishes what the journal of a directory does with its files. */
export function journalChannel(directory: string): JournalWatch {
  const publish = (event: string, facts: object): void => {
    if (journal.hasSubscribers) journal.publish({ event, directory, ...facts })
  }
  return {
    recovering: (bytes, of) => publish('recovering', { bytes, of }),
    checkpointed: (facts) => publish('checkpoint', facts),
    compacted: (facts) => publish('compaction', facts),
  }
}
