import type { JournalWatch } from '../storage/watch.ts'
import type { Logger } from './log.ts'

/** Nobody wonders before this, and then wants to hear as often. Milliseconds. */
const INTERVAL = 2_000

/** Lines about what a journal does with its files: how far a long start has got, and on level debug what it keeps in order. */
export function logOfJournal(logger: Logger, now: () => number): JournalWatch {
  const begun = now()
  let told = begun
  return {
    recovering: (bytes, of) => {
      const time = now()
      const isDone = bytes === of
      if (isDone ? told === begun : time - told < INTERVAL) return
      told = time
      const facts = { bytes, of, milliseconds: Math.round(time - begun) }
      if (isDone) logger.info({ event: 'recovered', ...facts }, 'the journal has been read')
      else
        logger.info(
          { event: 'recovering', percent: Math.floor((bytes / of) * 100), ...facts },
          'reading the journal',
        )
    },
    checkpointed: (facts) => logger.debug({ event: 'checkpoint', ...facts }, 'a checkpoint has been written'),
    compacted: (facts) => logger.debug({ event: 'compaction', ...facts }, 'files have been compacted'),
  }
}
