import { DatabaseSync } from 'node:sqlite'

/** Reads a database that another process writes. */
export function query<Row>(file: string, sql: string, ...parameters: (string | number)[]): Row[] {
  const database = new DatabaseSync(file, { readOnly: true })
  try {
    return database.prepare(sql).all(...parameters) as unknown as Row[]
  } finally {
    database.close()
  }
}

/** The only figure that a query answers. */
export function figure(file: string, sql: string, ...parameters: (string | number)[]): number {
  const [row] = query<Record<string, number>>(file, sql, ...parameters)
  return Object.values(row!)[0]!
}
