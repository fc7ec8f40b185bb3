import { bugs } from './bugs.ts'
import { deduplicationBugs } from './deduplication-bugs.ts'
import { lastValueBugs } from './last-value-bugs.ts'
import { scheduleBugs } from './schedule-bugs.ts'
import type { Tampering } from './tampering.ts'

/** All the faults that the simulation has to find, by what the broker does then. */
export const planted: Readonly<Record<string, Tampering>> = {
  ...bugs,
  ...scheduleBugs,
  ...lastValueBugs,
  ...deduplicationBugs,
}
