import { MillraceError } from '../../model/errors.ts'
import type { Database, Executor } from './database.ts'
import { wholeNumber } from './database.ts'
import type { Dialect } from './dialects.ts'

/** The tables of one component, as the versions that they have gone through. */
export interface Schema {
  readonly component: string
  /** A table that is there in every version. */
  readonly table: string
  /** The statements that make version 1, 2, …; with `?` for nothing: they have no parameters. */
  readonly versions: readonly ((dialect: Dialect) => readonly string[])[]
}

/** Holds, for each component, the version that its tables have. */
const SCHEMA_TABLE = 'millrace_schema'

/**
 * Brings the tables of a component to the version that this package works with, and answers the version that they had; 0:
 * there were none. Nothing runs it by itself. Rejects with `schema-newer`, and as Database.execute.
 */
export async function migrate(database: Database, schema: Schema): Promise<number> {
  const { dialect } = database
  const { name, integer } = dialect.types
  return database.transaction(async (tx) => {
    if (dialect.lockSchema) await tx.execute(dialect.lockSchema)
    try {
      await tx.execute(
        `CREATE TABLE IF NOT EXISTS ${SCHEMA_TABLE} (component ${name} NOT NULL PRIMARY KEY, version ${integer} NOT NULL) ${dialect.tableOptions}`,
      )
      const found = await versionOf(tx, dialect, schema)
      assertNotNewer(schema, found)
      for (let version = found + 1; version <= schema.versions.length; version++) {
        for (const statement of schema.versions[version - 1]!(dialect)) await tx.execute(statement)
        await record(tx, dialect, schema, version)
      }
      return found
    } finally {
      if (dialect.unlockSchema) await tx.execute(dialect.unlockSchema).catch(() => {})
    }
  })
}

/** Resolves when the tables are there and have the right version. Rejects with `schema-missing`, `-older`, `-newer`. */
export async function checkSchema(database: Database, schema: Schema): Promise<void> {
  const { dialect } = database
  const isThere = async (table: string) =>
    (await database.execute(dialect.findTable, [table])).rows.length > 0
  const versioned = (await isThere(SCHEMA_TABLE)) && (await isThere(schema.table))
  const found = versioned ? await versionOf(database, dialect, schema) : 0
  if (found === schema.versions.length) return
  assertNotNewer(schema, found)
  const need = `this version of Millrace needs version ${schema.versions.length}; migrate them`
  if (found === 0)
    throw new MillraceError('schema-missing', `there are no tables of the ${schema.component}: ${need}`)
  throw new MillraceError(
    'schema-older',
    `the tables of the ${schema.component} have version ${found}: ${need}`,
  )
}

async function versionOf(executor: Executor, dialect: Dialect, schema: Schema): Promise<number> {
  const sql = dialect.statement(`SELECT version FROM ${SCHEMA_TABLE} WHERE component = ?`)
  const { rows } = await executor.execute(sql, [schema.component])
  return rows[0] ? wholeNumber(rows[0]['version']) : 0
}

async function record(executor: Executor, dialect: Dialect, schema: Schema, version: number): Promise<void> {
  const sql =
    version === 1
      ? `INSERT INTO ${SCHEMA_TABLE} (version, component) VALUES (?, ?)`
      : `UPDATE ${SCHEMA_TABLE} SET version = ? WHERE component = ?`
  await executor.execute(dialect.statement(sql), [version, schema.component])
}

function assertNotNewer(schema: Schema, found: number): void {
  if (found <= schema.versions.length) return
  throw new MillraceError(
    'schema-newer',
    `the tables of the ${schema.component} have version ${found}; this version of Millrace knows ${schema.versions.length}`,
  )
}
