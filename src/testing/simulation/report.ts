import type { DiskFault } from '../faulty-disk.ts'

const counts = [
  'seeds',
  'operations',
  'events',
  'sent',
  'resent',
  'repeated',
  'confirmed',
  'refused',
  'deliveries',
  'redeliveries',
  'selected',
  'groupMembers',
  'ranked',
  'preferences',
  'idleQueues',
  'leaves',
  'accepted',
  'released',
  'failed',
  'rejected',
  'deadLettered',
  'expired',
  'dropped',
  'replaced',
  'purged',
  'scheduled',
  'cancelled',
  'committed',
  'rolledBack',
  'checkedBack',
  'queuesDeleted',
  'checkpoints',
  'compactions',
  'pagesWritten',
  'stocktakings',
  'copiesCompared',
  'restarts',
  'crashesInRecovery',
  'journalFailures',
  'refusedStarts',
  'outOfSpace',
  'wallJumps',
  'damageReports',
  'lostToDamage',
  'backByDamage',
  'recoveredQueues',
] as const

export type Count = (typeof counts)[number]

/** What happened in one run or in many. */
export class Report {
  readonly counts: Record<Count, number> = Object.fromEntries(counts.map((name) => [name, 0])) as Record<
    Count,
    number
  >
  readonly faults: Partial<Record<DiskFault, number>> = {}

  count(what: Count, by = 1): void {
    this.counts[what] += by
  }

  countFaults(injected: Readonly<Record<DiskFault, number>>): void {
    for (const [name, count] of Object.entries(injected) as [DiskFault, number][]) {
      this.faults[name] = (this.faults[name] ?? 0) + count
    }
  }

  /** Adds what another run, maybe of another process, has counted. */
  add(other: Pick<Report, 'counts' | 'faults'>): void {
    for (const name of counts) this.counts[name] += other.counts[name]
    this.countFaults(other.faults as Record<DiskFault, number>)
  }

  /** A few lines for people. */
  toString(): string {
    const line = (entries: [string, number][]): string =>
      entries.map(([name, count]) => `${spaced(name)} ${count.toLocaleString('en-US')}`).join(' · ')
    const { seeds, ...rest } = this.counts
    return [
      `simulation: ${seeds.toLocaleString('en-US')} seeds`,
      `  ${line(Object.entries(rest))}`,
      `  faults: ${line(Object.entries(this.faults))}`,
    ].join('\n')
  }
}

function spaced(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
}
