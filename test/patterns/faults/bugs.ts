import type { Database } from '../../../src/patterns/index.ts'

/** Bugs that the schedules must find. */
export type Bug =
  | 'acknowledge before commit'
  | 'relay without lease'
  | 'no fencing'
  | 'check-back that does not look'

/** A database whose statements are those of an outbox or inbox with this bug, if it is one of theirs. */
export function withBug(database: Database, bug: Bug | undefined): Database {
  if (bug === 'relay without lease') return rewritten(database, unleased)
  if (bug === 'no fencing') return rewritten(database, unfenced)
  return database
}

/** As if nobody had claimed anything. */
function unleased(sql: string): string {
  return sql
    .replaceAll('(claim IS NULL OR', '(1 = 1 OR')
    .replace('WHERE claim = ? AND', 'WHERE ? IS NOT NULL AND')
}

/** Whoever comes last to say that a message is processed is believed, whichever attempt it is. */
function unfenced(sql: string): string {
  return sql
    .replace('AND fence = ? AND state = 0', 'AND 0 < ?')
    .replace(
      /(INSERT INTO millrace_inbox[\s\S]*)ON CONFLICT DO NOTHING/,
      '$1ON CONFLICT (consumer, message_id) DO UPDATE SET state = excluded.state',
    )
}

function rewritten(database: Database, rewrite: (sql: string) => string): Database {
  return {
    ...database,
    execute: (sql, parameters) => database.execute(rewrite(sql), parameters),
    transaction: (work, options) =>
      database.transaction(
        (tx) =>
          work({
            native: tx.native,
            onCommit: tx.onCommit,
            execute: (sql, values) => tx.execute(rewrite(sql), values),
          }),
        options,
      ),
  }
}
