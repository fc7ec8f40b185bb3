import type { Dialect } from '../database/dialects.ts'
import { LANES, MARKERS, OUTBOX } from './schema.ts'

/** The SQL of an outbox in one dialect. Columns that are read have names without underscores, which nobody's plugin renames. */
export interface Statements {
  /** Makes senders of one key wait for each other's commits, so that the order of their rows is that of the commits. */
  readonly lockLane: string | undefined
  readonly insert: string
  /** The oldest rows without key that may be sent. */
  readonly loose: (limit: number) => string
  /** The first row of each key, from one key on, and whether it may be sent. */
  readonly heads: (limit: number) => string
  readonly followers: (lanes: number, limit: number) => string
  readonly lock: (ids: number) => string
  readonly claim: (ids: number) => string
  readonly renew: string
  readonly confirm: (ids: number) => string
  readonly release: (ids: number) => string
  readonly fail: string
  readonly summary: string
  readonly oldest: (limit: number) => string
  readonly retry: string
  readonly retryAll: string
  readonly discard: string
  readonly mark: string
  readonly marker: string
  readonly sweepMarkers: (limit: number) => string
  readonly clock: string
}

/** Rows that one statement names; lists are filled up to a power of two, so that there are few different statements. */
export const LONGEST_LIST = 512

export function statementsFor(dialect: Dialect): Statements {
  const { now, skipLocked } = dialect
  const sql = dialect.statement
  // A time to come is none that the clock has seen: it has jumped back since.
  const free = `(claim IS NULL OR claimed_at > ${now} OR claimed_at + claimed_for <= ${now})
    AND (failed_at IS NULL OR failed_at > ${now} OR failed_at + retry_after <= ${now})`
  const row = 'id, message_id AS message, lane, headers, body, size, failures'
  return {
    lockLane: dialect.lockName ? sql(dialect.lockName) : lockRow(dialect),
    insert:
      sql(`INSERT INTO ${OUTBOX} (message_id, lane, destination, headers, body, size, created_at, failures, poison)
      VALUES (?, ?, ?, ?, ?, ?, ${now}, 0, 0)`),
    loose: (limit) =>
      sql(`SELECT id, lane, size FROM ${OUTBOX} WHERE lane = '' AND ${free} ORDER BY id LIMIT ${limit}`),
    heads: (limit) =>
      sql(`WITH RECURSIVE lanes (lane, step) AS (
        SELECT MIN(lane), 1 FROM ${OUTBOX} WHERE lane > ?
        UNION ALL
        SELECT (SELECT MIN(later.lane) FROM ${OUTBOX} later WHERE later.lane > lanes.lane), step + 1
        FROM lanes WHERE lane IS NOT NULL AND step < ${limit}
      )
      SELECT head.id AS id, head.lane AS lane, head.size AS size, CASE WHEN ${free} THEN 1 ELSE 0 END AS free
      FROM lanes JOIN ${OUTBOX} head ON head.id = (SELECT MIN(first.id) FROM ${OUTBOX} first WHERE first.lane = lanes.lane)
      ORDER BY head.lane`),
    followers: (lanes, limit) =>
      sql(
        `SELECT id, lane, size FROM ${OUTBOX} WHERE lane IN (${list(lanes)}) ORDER BY lane, id LIMIT ${limit}`,
      ),
    lock: (ids) =>
      sql(`SELECT ${row} FROM ${OUTBOX} WHERE id IN (${list(ids)}) AND ${free} ORDER BY id ${skipLocked}`),
    claim: (ids) =>
      sql(`UPDATE ${OUTBOX} SET claim = ?, claimed_at = ${now}, claimed_for = ? WHERE id IN (${list(ids)})`),
    renew: sql(`UPDATE ${OUTBOX} SET claimed_at = ${now} WHERE claim = ?`),
    confirm: (ids) => sql(`DELETE FROM ${OUTBOX} WHERE claim = ? AND id IN (${list(ids)})`),
    release: (ids) => sql(`UPDATE ${OUTBOX} SET claim = NULL WHERE claim = ? AND id IN (${list(ids)})`),
    fail: sql(`UPDATE ${OUTBOX} SET claim = NULL, failures = failures + 1, failed_at = ${now}, retry_after = ?, poison = ?, error = ?
      WHERE claim = ? AND id = ?`),
    summary: `SELECT COUNT(*) AS messages, COALESCE(SUM(size), 0) AS bytes, MIN(created_at) AS since, ${now} AS now,
      COALESCE(SUM(CASE WHEN claim IS NOT NULL AND NOT (claimed_at > ${now} OR claimed_at + claimed_for <= ${now}) THEN 1 ELSE 0 END), 0) AS claimed,
      COALESCE(SUM(CASE WHEN failures > 0 THEN 1 ELSE 0 END), 0) AS failing, COALESCE(SUM(poison), 0) AS poison FROM ${OUTBOX}`,
    oldest: (limit) =>
      `SELECT message_id AS message, lane, destination, size, created_at AS created, failures, poison, error, ${now} AS now
      FROM ${OUTBOX} ORDER BY failures DESC, id LIMIT ${limit}`,
    retry: sql(`UPDATE ${OUTBOX} SET failed_at = NULL, poison = 0 WHERE message_id = ?`),
    retryAll: `UPDATE ${OUTBOX} SET failed_at = NULL, poison = 0 WHERE failed_at IS NOT NULL`,
    discard: sql(`DELETE FROM ${OUTBOX} WHERE message_id = ?`),
    mark: sql(
      `INSERT INTO ${MARKERS} (transaction_id, verdict, decided_at) VALUES (?, ?, ${now}) ${dialect.orNothing}`,
    ),
    marker: sql(`SELECT verdict FROM ${MARKERS} WHERE transaction_id = ?`),
    sweepMarkers: (limit) => sql(sweep(dialect, limit)),
    clock: `SELECT ${now} AS at`,
  }
}

function lockRow({ name, statement }: Dialect): string | undefined {
  return name === 'sqlite' ? undefined : statement(`SELECT lane FROM ${LANES} WHERE lane = ? FOR UPDATE`)
}

/** MySQL takes no subquery of the table that it deletes from, and a LIMIT instead; the others have no LIMIT there. */
function sweep({ name, now }: Dialect, limit: number): string {
  const old = `decided_at < ${now} - ?`
  if (name === 'mysql') return `DELETE FROM ${MARKERS} WHERE ${old} LIMIT ${limit}`
  return `DELETE FROM ${MARKERS} WHERE transaction_id IN (SELECT transaction_id FROM ${MARKERS} WHERE ${old} LIMIT ${limit})`
}

function list(length: number): string {
  return Array.from({ length }, () => '?').join(', ')
}

/** The values of a list, filled up with the last one. */
export function padded<T>(values: readonly T[]): T[] {
  const length = 2 ** Math.ceil(Math.log2(values.length))
  return Array.from({ length }, (_, index) => values[Math.min(index, values.length - 1)]!)
}
