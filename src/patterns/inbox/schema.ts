import type { Dialect } from '../database/dialects.ts'
import type { Schema } from '../database/migrations.ts'

export const INBOX = 'millrace_inbox'

/** The tables of an inbox, for `migrate`. */
export const inboxSchema: Schema = { component: 'inbox', table: INBOX, versions: [first] }

/**
 * A row is a message as one consumer knows it. `fence` is the number of the attempt that may write, `state` one of
 * RecordState, `digest` tells its body from that of another message of the same id. Times are wall milliseconds of the
 * database's clock.
 */
function first({ types, busyTableOptions }: Dialect): string[] {
  const { name, integer } = types
  return [
    `CREATE TABLE ${INBOX} (
      consumer ${name} NOT NULL,
      message_id ${name} NOT NULL,
      fence ${integer} NOT NULL,
      state ${integer} NOT NULL,
      digest ${name} NOT NULL,
      changed_at ${integer} NOT NULL,
      PRIMARY KEY (consumer, message_id)
    ) ${busyTableOptions}`,
    `CREATE INDEX millrace_inbox_by_age ON ${INBOX} (changed_at)`,
  ]
}
