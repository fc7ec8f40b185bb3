import type { Call } from './trace.ts'

/** What a body carries, so that it is found in the journal write that contains it. */
export function tokenOf(number: number): string {
  return `token-${String(number).padStart(4, '0')}.`
}

/** What the trace of a child proves, or what is wrong in it. */
export interface Verdict {
  readonly violations: readonly string[]
  readonly writes: number
  readonly syncs: number
  readonly failedSyncs: readonly Call[]
  /** Answers that were held against a sync, or, of level 'os', against a write. */
  readonly confirmed: ReadonlySet<number>
  readonly confirms: number
  readonly written: ReadonlySet<number>
  readonly accepting: ReadonlySet<number>
  readonly accepted: number
  /** Sends rejected, by error code. */
  readonly rejected: ReadonlyMap<string, number>
}

const SEGMENT = /\/journal\/\d+\.segment$/
/** Clocks of strace's timestamps and of its delays differ a little. Seconds. */
const TOLERANCE = 0.0005

/**
 * Holds every answer that the child wrote down against the calls before it:
 * - confirmed: every journal write with the token has returned, then a sync of that file has begun and returned 0, before
 *   the answer; and the file's name was made durable by a sync of its folder;
 * - accepted: the same of some journal write that began after the acknowledgement was called for;
 * - written (level 'os'): a journal write with the token has returned.
 * After a failed sync no later one counts, and no segment is written any more. `delay`: seconds by which strace held back
 * the return of each delayed call.
 */
export function checkOrder(calls: readonly Call[], delay: number): Verdict {
  return new Order(calls, delay).check()
}

class Order {
  private readonly calls: readonly Call[]
  private readonly delay: number
  private readonly violations: string[] = []
  private readonly writes: readonly Call[]
  private readonly syncs: readonly Call[]
  private readonly failedSyncs: readonly Call[]
  private readonly failedLine: number
  private readonly confirmed = new Set<number>()
  private readonly written = new Set<number>()
  private readonly accepting = new Map<number, Call>()
  private readonly rejected = new Map<string, number>()
  private confirms = 0
  private accepted = 0

  constructor(calls: readonly Call[], delay: number) {
    this.calls = calls
    this.delay = delay
    this.writes = calls.filter(
      ({ name, path }) => name !== 'openat' && name.includes('write') && SEGMENT.test(path),
    )
    this.syncs = calls.filter(({ name, path }) => name === 'fdatasync' && SEGMENT.test(path))
    this.failedSyncs = calls.filter(({ name, result }) => name === 'fdatasync' && result < 0)
    this.failedLine = this.failedSyncs[0]?.returnedLine ?? Number.POSITIVE_INFINITY
  }

  check(): Verdict {
    const { violations, failedSyncs, confirmed, written, accepting, rejected } = this
    for (const call of this.calls) {
      if (call.name === 'write' && call.text.startsWith('1<')) this.answer(call)
    }
    for (const write of this.writes) {
      if (write.enteredLine > this.failedLine)
        violations.push(`${write.path} was written after a failed sync`)
    }
    return {
      violations,
      writes: this.writes.length,
      syncs: this.syncs.length,
      failedSyncs,
      confirmed,
      confirms: this.confirms,
      written,
      accepting: new Set(accepting.keys()),
      accepted: this.accepted,
      rejected,
    }
  }

  private answer(call: Call): void {
    const [, verb, digits, code] = /"(\w+) (\d+)(?: ([\w-]+))?\\n"/.exec(call.text) ?? []
    const number = Number(digits)
    if (verb === 'confirmed') this.checkConfirmed(number, call)
    else if (verb === 'written') this.checkWritten(number, call)
    else if (verb === 'accepting') this.accepting.set(number, call)
    else if (verb === 'accepted') this.checkAccepted(number, call)
    else if (verb === 'rejected') this.rejected.set(code!, (this.rejected.get(code!) ?? 0) + 1)
  }

  private checkConfirmed(number: number, answer: Call): void {
    this.confirms++
    this.confirmed.add(number)
    const writes = this.writesOf(number, answer)
    if (writes.length === 0) this.violations.push(`${number} was confirmed before it was written`)
    for (const write of writes) {
      if (!this.isDurable(write, answer)) {
        this.violations.push(`${number} was confirmed before ${write.path} was synced`)
      } else if (!this.hasName(write, answer)) {
        this.violations.push(`${number} was confirmed before the name of ${write.path} was durable`)
      }
    }
  }

  private checkWritten(number: number, answer: Call): void {
    this.written.add(number)
    const writes = this.writesOf(number, answer)
    if (!writes.some(({ returnedLine }) => returnedLine < answer.enteredLine)) {
      this.violations.push(`${number} was answered as written before it was`)
    }
  }

  private checkAccepted(number: number, answer: Call): void {
    this.accepted++
    const asked = this.accepting.get(number)
    const isCovered = this.writes.some(
      (write) => write.enteredLine > (asked?.enteredLine ?? Infinity) && this.isDurable(write, answer),
    )
    if (!isCovered) this.violations.push(`${number} was accepted before that was synced`)
  }

  /** The journal writes with the message's token that began before it was answered. */
  private writesOf(number: number, answer: Call): Call[] {
    const token = tokenOf(number)
    return this.writes.filter(
      ({ enteredLine, text }) => enteredLine < answer.enteredLine && text.includes(token),
    )
  }

  /** Whether a sync of the written file began after the write had returned, and returned before the answer. */
  private isDurable(write: Call, answer: Call): boolean {
    return this.syncs.some((sync) => {
      const isOfWrite = sync.path === write.path && sync.enteredLine > write.returnedLine
      return isOfWrite && sync.returnedLine < this.failedLine && this.hasReturned(sync, answer)
    })
  }

  /** Whether the file was created by an earlier process, or its folder was synced after it was created. */
  private hasName(write: Call, answer: Call): boolean {
    const created = this.calls.find(
      ({ name, path, text }) => name === 'openat' && path === write.path && text.includes('O_CREAT'),
    )
    if (!created) return true
    const folder = write.path.slice(0, write.path.lastIndexOf('/'))
    return this.calls.some(
      (sync) =>
        sync.name === 'fsync' &&
        sync.path === folder &&
        sync.enteredLine > created.returnedLine &&
        this.hasReturned(sync, answer),
    )
  }

  private hasReturned(sync: Call, answer: Call): boolean {
    if (sync.result !== 0 || sync.returnedLine > answer.enteredLine) return false
    const held = sync.isDelayed ? this.delay - TOLERANCE : 0
    return sync.returnedAt + held <= answer.enteredAt
  }
}
