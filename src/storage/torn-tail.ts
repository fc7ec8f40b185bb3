import type { FrameScanner } from './frame-scanner.ts'

/** Where the last segment of a journal ends. */
export interface TailVerdict {
  /** What lies behind was never confirmed and is to be cut: no later frame says that it was durable. */
  readonly cut: number
  /** Frames from here on may not have reached the disk; equal to `cut` when all have. */
  readonly unproven: number
  /** Where what was written ends; behind it are zeros, if anything. */
  readonly end: number
  /** Highest LSN that some frame, or the checkpoint, says was durable. */
  readonly provenLsn: number
}

/**
 * Tells a torn tail from damage in the segment that was written last. A frame says which LSN was durable when it was
 * written: bytes before that LSN must be whole, and if they are not, they are damaged. Bytes that are not whole and
 * not covered so are the rest of a write that was cut short, and so is everything after them.
 */
export async function judgeTail(
  scanner: FrameScanner,
  from: number,
  precededBy: number,
  knownDurable: number,
  size: number,
): Promise<TailVerdict> {
  let proven = knownDurable
  let lastGood = precededBy
  let end = from
  let written = size
  let broken: { readonly start: number; readonly lastGood: number; readonly unreadable: boolean }[] = []
  let unproven: { readonly start: number; readonly lastLsn: number }[] = []
  const isOpen = (one: { lastGood: number; unreadable: boolean }) => one.lastGood >= proven && !one.unreadable
  for (let frame = await scanner.next(); frame; frame = await scanner.next()) {
    written = frame.zeros
    if (frame.whole) {
      proven = Math.max(proven, frame.header.mark)
      unproven = unproven.filter(({ lastLsn }) => lastLsn > proven)
      broken = broken.filter(isOpen)
      lastGood = frame.header.lastLsn
      unproven.push({ start: frame.start, lastLsn: lastGood })
      end = frame.end
    } else {
      broken.push({ start: frame.start, lastGood, unreadable: frame.unreadable })
    }
  }
  broken = broken.filter(isOpen)
  unproven = unproven.filter(({ lastLsn }) => lastLsn > proven)
  const whole = broken.length === 0 ? size : broken[0]!.start
  const cut = Math.max(whole, Math.min(from, size))
  const first = Math.min(unproven[0]?.start ?? Math.min(end, cut), cut)
  return { cut, unproven: first, end: Math.max(written, cut), provenLsn: proven }
}
