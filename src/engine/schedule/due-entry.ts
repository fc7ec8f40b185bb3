/** Bits of an entry's flags. */
export const DueFlag = {
  /** The message is kept in memory alone, and ends with the process. */
  memory: 1,
  /** It stays after it was delivered, for the next time. */
  repeats: 2,
} as const

/** One scheduled message as the index of due times knows it; an object to be filled again and again. */
export class DueEntry {
  /** Wall milliseconds at which something is to be done: it is due, or it expires before. */
  at = 0
  lsn = 0
  size = 0
  /** Number of the queue that it goes to; 0: several, which the message names. */
  target = 0
  flags = 0

  copy(): DueEntry {
    return Object.assign(new DueEntry(), this)
  }
}

/** A place in the order in which messages are due: by time, then by age. */
export interface DueKey {
  readonly at: number
  readonly lsn: number
}

export function comesBefore(a: DueKey, b: DueKey): boolean {
  return a.at < b.at || (a.at === b.at && a.lsn < b.lsn)
}
