import { readdirSync, readFileSync } from 'node:fs'

/** As Linux has them on every machine that Node.js runs on. */
const PAGE = 4096
const TICKS_PER_SECOND = 100

/** Bytes that processes have resident together; 0 where the system does not say. */
export function residentBytes(processes: readonly number[]): number {
  let pages = 0
  for (const one of processes) pages += Number(read(`/proc/${one}/statm`).split(' ')[1] ?? 0)
  return pages * PAGE
}

/** Processor time that processes have used, and children of theirs that have ended. Microseconds. */
export function processorTime(processes: readonly number[]): number {
  let ticks = 0
  for (const one of processes) {
    const fields = fieldsOf(one)
    for (const at of [11, 12, 13, 14]) ticks += Number(fields[at] ?? 0)
  }
  return (ticks / TICKS_PER_SECOND) * 1e6
}

/** A process and all that descend from it. */
export function family(pid: number): number[] {
  const parents = new Map<number, number>()
  for (const name of readdirSync('/proc')) {
    if (/^\d+$/.test(name)) parents.set(Number(name), Number(fieldsOf(Number(name))[1]))
  }
  const found = [pid]
  for (const one of found) {
    for (const [child, parent] of parents) if (parent === one) found.push(child)
  }
  return found
}

/** What /proc says of a process behind its name, which may contain anything. */
function fieldsOf(pid: number): string[] {
  return read(`/proc/${pid}/stat`).split(') ').at(-1)!.split(' ')
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    // It has ended meanwhile, or this is not Linux.
    return ''
  }
}

/** The most that processes have had resident since it was last asked, looked at several times a second. */
export class ResidentPeak implements Disposable {
  private readonly processes: readonly number[]
  private readonly timer: NodeJS.Timeout
  private peak = 0

  constructor(processes: readonly number[]) {
    this.processes = processes
    this.timer = setInterval(() => this.look(), 100)
  }

  take(): number {
    this.look()
    const { peak } = this
    this.peak = 0
    return peak
  }

  [Symbol.dispose](): void {
    clearInterval(this.timer)
  }

  private look(): void {
    this.peak = Math.max(this.peak, residentBytes(this.processes))
  }
}
