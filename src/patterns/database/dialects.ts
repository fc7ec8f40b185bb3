export type DialectName = 'postgresql' | 'mysql' | 'sqlite'

/** What differs between databases, as data. MariaDB speaks 'mysql'. */
export interface Dialect {
  readonly name: DialectName
  /** A statement with `?` for its parameters, as this database writes them. No text of it may contain a question mark. */
  statement(sql: string): string
  readonly types: {
    /** A primary key that the database counts up. */
    readonly counter: string
    readonly integer: string
    /** A text of at most 255 bytes, compared byte by byte. */
    readonly name: string
    readonly text: string
    readonly bytes: string
  }
  /** What is appended to CREATE TABLE, and to that of a table whose rows come and go all the time. */
  readonly tableOptions: string
  readonly busyTableOptions: string
  /** Wall milliseconds by the clock of the database. */
  readonly now: string
  /** Appended to a SELECT in a transaction: locks its rows, and passes over those that others have locked. */
  readonly skipLocked: string
  /** Appended to an INSERT: a row whose key exists is left out. '': it is refused with `database-duplicate`. */
  readonly orNothing: string
  /** Answers one row if there is a table of this name where the connection looks for tables. */
  readonly findTable: string
  /** Locks a name until the end of the transaction; undefined: there are no such locks, or need not be. */
  readonly lockName: string | undefined
  /** Keeps others from changing the schema meanwhile, and lets them; undefined: a transaction alone does. */
  readonly lockSchema: string | undefined
  readonly unlockSchema: string | undefined
  /** Answers how many bytes a statement may have with its values, where the server hangs up on whoever sends more. */
  readonly longestStatement: string | undefined
}

const postgresql: Dialect = {
  name: 'postgresql',
  statement(sql) {
    let number = 0
    return sql.replaceAll('?', () => `$${++number}`)
  },
  types: {
    counter: 'BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY',
    integer: 'BIGINT',
    name: 'TEXT COLLATE "C"',
    text: 'TEXT',
    bytes: 'BYTEA',
  },
  tableOptions: '',
  // Room for changed rows in their pages, and clean-up by number, not by share, of rows.
  busyTableOptions:
    'WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000)',
  now: '(CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT))',
  skipLocked: 'FOR UPDATE SKIP LOCKED',
  orNothing: 'ON CONFLICT DO NOTHING',
  findTable: 'SELECT 1 AS found WHERE to_regclass($1) IS NOT NULL',
  lockName: "SELECT pg_advisory_xact_lock(hashtext('millrace'), hashtext(?))",
  lockSchema: "SELECT pg_advisory_xact_lock(hashtext('millrace schema'))",
  unlockSchema: undefined,
  longestStatement: undefined,
}

/** Names are kept as bytes: texts would be compared without regard to case, or to spaces at their end. */
const mysql: Dialect = {
  name: 'mysql',
  statement: (sql) => sql,
  types: {
    counter: 'BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY',
    integer: 'BIGINT',
    name: 'VARBINARY(255)',
    text: 'LONGTEXT CHARACTER SET utf8mb4',
    bytes: 'LONGBLOB',
  },
  tableOptions: 'ENGINE=InnoDB',
  busyTableOptions: 'ENGINE=InnoDB',
  now: '(CAST(UNIX_TIMESTAMP(SYSDATE(3)) * 1000 AS SIGNED))',
  skipLocked: 'FOR UPDATE SKIP LOCKED',
  orNothing: '',
  findTable:
    'SELECT 1 AS found FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?',
  lockName: undefined,
  lockSchema: "SELECT GET_LOCK('millrace schema', 60)",
  unlockSchema: "SELECT RELEASE_LOCK('millrace schema')",
  longestStatement: 'SELECT @@max_allowed_packet AS bytes',
}

/** Whoever writes is alone: there are no locks of rows. */
const sqlite: Dialect = {
  name: 'sqlite',
  statement: (sql) => sql,
  types: {
    counter: 'INTEGER PRIMARY KEY AUTOINCREMENT',
    integer: 'INTEGER',
    name: 'TEXT',
    text: 'TEXT',
    bytes: 'BLOB',
  },
  tableOptions: '',
  busyTableOptions: '',
  now: "(CAST(unixepoch('subsec') * 1000 AS INTEGER))",
  skipLocked: '',
  orNothing: 'ON CONFLICT DO NOTHING',
  findTable: "SELECT 1 AS found FROM sqlite_master WHERE type = 'table' AND name = ?",
  lockName: undefined,
  lockSchema: undefined,
  unlockSchema: undefined,
  longestStatement: undefined,
}

export const dialects: Readonly<Record<DialectName, Dialect>> = { postgresql, mysql, sqlite }
