import type { Dialect } from '../database/dialects.ts'
import type { Schema } from '../database/migrations.ts'

export const OUTBOX = 'millrace_outbox'
export const LANES = 'millrace_outbox_lanes'
export const MARKERS = 'millrace_outbox_markers'

/** Rows that senders lock for their keys, where the database has no locks of names. */
export const LANE_LOCKS = 1_024

/** The tables of an outbox, for `migrate`. */
export const outboxSchema: Schema = {
  component: 'outbox',
  table: OUTBOX,
  versions: [first],
}

/**
 * A row is a message that was committed and is not confirmed; its `lane` is its key, '' without one. `claim` names the batch of
 * a relay that is sending it, since `claimed_at` and for `claimed_for` at most; `failures`, `failed_at`, `retry_after` and
 * `error` tell of the last attempt, and `poison` that nothing but a change elsewhere will help. Times are wall milliseconds
 * of the database's clock, durations are kept beside them, so that a clock that jumps back delays nothing for long.
 */
function first(dialect: Dialect): string[] {
  const { counter, integer, name, text, bytes } = dialect.types
  const tables = [
    `CREATE TABLE ${OUTBOX} (
      id ${counter},
      message_id ${name} NOT NULL UNIQUE,
      lane ${name} NOT NULL,
      destination ${text} NOT NULL,
      headers ${text} NOT NULL,
      body ${bytes} NOT NULL,
      size ${integer} NOT NULL,
      created_at ${integer} NOT NULL,
      claim ${name},
      claimed_at ${integer},
      claimed_for ${integer},
      failures ${integer} NOT NULL,
      failed_at ${integer},
      retry_after ${integer},
      poison ${integer} NOT NULL,
      error ${text}
    ) ${dialect.busyTableOptions}`,
    `CREATE INDEX millrace_outbox_by_lane ON ${OUTBOX} (lane, id)`,
    `CREATE TABLE ${MARKERS} (
      transaction_id ${name} NOT NULL PRIMARY KEY,
      verdict ${integer} NOT NULL,
      decided_at ${integer} NOT NULL
    ) ${dialect.tableOptions}`,
    `CREATE INDEX millrace_outbox_markers_by_age ON ${MARKERS} (decided_at)`,
  ]
  return dialect.lockName === undefined ? [...tables, ...lanes(dialect)] : tables
}

function lanes({ types, tableOptions, name }: Dialect): string[] {
  // Whoever writes to SQLite is alone anyway.
  if (name === 'sqlite') return []
  const rows = Array.from({ length: LANE_LOCKS }, (_, lane) => `(${lane})`)
  return [
    `CREATE TABLE ${LANES} (lane ${types.integer} NOT NULL PRIMARY KEY) ${tableOptions}`,
    `INSERT INTO ${LANES} (lane) VALUES ${rows.join(', ')}`,
  ]
}
