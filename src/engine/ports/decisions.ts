import { type DeadLetterReason, deadLetterReasons, type Outcome } from '../../model/delivery.ts'
import type { ByteWriter, OperationReader } from './operations.ts'
import { writeRuns } from './settle-operation.ts'

/**
 * decide := varint transaction | u8 decision
 *
 * Of a half message the transaction is its LSN. 'asked': its producers have been asked for it once more. A rollback needs no
 * such operation: what it takes away is settled, and what is not decided when the engine starts is rolled back.
 */
export const decisions = ['commit', 'asked'] as const
export type Decision = (typeof decisions)[number]

export function writeDecision(writer: ByteWriter, transaction: number, decision: Decision): void {
  writer.putVarint(transaction)
  writer.putByte(decisions.indexOf(decision))
}

/** What a transaction settles, as far as the journal has to know: releasing a message leaves no trace in it. */
export interface JournalledSettlement {
  readonly outcome: Outcome
  readonly deliveryFailed?: boolean | undefined
  /** Milliseconds; 0 is none. */
  readonly delay?: number | undefined
  readonly reason?: DeadLetterReason | undefined
  readonly description?: string | undefined
}

const kinds: readonly JournalledSettlement[] = [
  { outcome: 'accepted' },
  { outcome: 'rejected' },
  { outcome: 'modified', deliveryFailed: true },
  { outcome: 'modified', deliveryFailed: true, delay: 1 },
  { outcome: 'modified', delay: 1 },
]

function kindOf(settlement: JournalledSettlement): number {
  return kinds.findIndex(
    ({ outcome, deliveryFailed = false, delay = 0 }) =>
      outcome === settlement.outcome &&
      deliveryFailed === (settlement.deliveryFailed ?? false) &&
      delay > 0 === (settlement.delay ?? 0) > 0,
  )
}

/** Whether the journal has to know of it. */
export function leavesTrace(settlement: JournalledSettlement): boolean {
  return kindOf(settlement) >= 0
}

/**
 * settlement := u8 kind (0 accepted, 1 rejected, 2 failed, 3 failed and not before, 4 given back and not before)
 *   | of 3 and 4: varint delay | unless accepted: u8 reason (0: none) | text description
 */
export function writeSettlement(writer: ByteWriter, settlement: JournalledSettlement): void {
  const kind = kindOf(settlement)
  writer.putByte(kind)
  if (kind === 0) return
  if (settlement.delay) writer.putVarint(Math.ceil(settlement.delay))
  writer.putByte(settlement.reason === undefined ? 0 : deadLetterReasons.indexOf(settlement.reason) + 1)
  writer.putText(settlement.description ?? '')
}

export function readSettlement(reader: OperationReader): JournalledSettlement {
  const kind = reader.byte()
  const settlement = kinds[kind]
  if (settlement === undefined) reader.failed = true
  if (settlement === undefined || kind === 0) return kinds[0]!
  const delay = settlement.delay === undefined ? undefined : reader.varint()
  const reason = deadLetterReasons[reader.byte() - 1]
  return { ...settlement, delay, reason, description: reader.text() }
}

/** enlist := varint transaction | varint queue | u8 priority | settlement | runs of LSNs, as in settle */
export function writeEnlistment(
  writer: ByteWriter,
  transaction: number,
  queue: number,
  priority: number,
  settlement: JournalledSettlement,
  lsns: Float64Array,
): void {
  writer.putVarint(transaction)
  writer.putVarint(queue)
  writer.putByte(priority)
  writeSettlement(writer, settlement)
  writeRuns(writer, lsns)
}
