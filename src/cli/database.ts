import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { MillraceError } from '../index.ts'
import {
  type Database,
  fromMysql2,
  fromPg,
  fromSqlite,
  type Mysql2Pool,
  type Mysql2PoolConnection,
  type PgPool,
  type PgPoolClient,
} from '../patterns/index.ts'
import { UsageError } from './usage-error.ts'

interface Opened {
  readonly database: Database
  close(): Promise<void>
}

/** Opens the database of an application for as long as `use` takes. Drivers are those of the project that it runs in. */
export async function withDatabase<T>(url: string, use: (database: Database) => Promise<T>): Promise<T> {
  const { database, close } = await open(url)
  try {
    return await use(database)
  } finally {
    await close()
  }
}

async function open(url: string): Promise<Opened> {
  const scheme = /^([a-z]+):/i.exec(url)?.[1]?.toLowerCase()
  switch (scheme) {
    case 'sqlite':
      return openSqlite(url.slice('sqlite:'.length))
    case 'postgres':
    case 'postgresql':
      return openPg(url)
    case 'mysql':
    case 'mariadb':
      return openMysql(url.replace(/^mariadb:/i, 'mysql:'))
    default:
      throw new UsageError(
        `--database is sqlite:FILE, postgres://…, mysql://… or mariadb://…, not ${JSON.stringify(url)}`,
      )
  }
}

/** A mistyped file is not created. */
async function openSqlite(file: string): Promise<Opened> {
  if (!existsSync(file)) throw new MillraceError('database-unavailable', `there is no file ${file}`)
  const { DatabaseSync } = await import('node:sqlite')
  const connection = new DatabaseSync(file)
  return { database: fromSqlite(connection), close: async () => connection.close() }
}

interface PgModule {
  readonly Pool: new (options: {
    connectionString: string
    max: number
  }) => PgPool<PgPoolClient> & { on(event: 'error', listener: () => void): unknown; end(): Promise<void> }
}

async function openPg(url: string): Promise<Opened> {
  const { Pool } = await driver<PgModule>('pg', 'pg')
  const pool = new Pool({ connectionString: url, max: 2 })
  // What fails is told by the statement that failed.
  pool.on('error', () => {})
  return { database: fromPg(pool), close: () => pool.end() }
}

interface Mysql2Module {
  createPool(options: { uri: string; connectionLimit: number }): Mysql2Pool<Mysql2PoolConnection> & {
    end(): Promise<void>
  }
}

async function openMysql(url: string): Promise<Opened> {
  const { createPool } = await driver<Mysql2Module>('mysql2/promise', 'mysql2')
  const pool = createPool({ uri: url, connectionLimit: 2 })
  return { database: fromMysql2(pool), close: () => pool.end() }
}

/** A package of the project in the working directory. Rejects with `driver-missing`. */
async function driver<T>(specifier: string, name: string): Promise<T> {
  const project = createRequire(join(process.cwd(), 'package.json'))
  let path: string
  try {
    path = project.resolve(specifier)
  } catch (cause) {
    throw new MillraceError(
      'driver-missing',
      `this database needs the package ${name}, which is not in the project in ${process.cwd()}: npm install ${name}`,
      { cause },
    )
  }
  const loaded = (await import(pathToFileURL(path).href)) as T & { readonly default?: T }
  return loaded.default ?? loaded
}
