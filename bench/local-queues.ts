import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { load } from './peers/packages.ts'
import type { Row, Scale } from './rows.ts'

const SIZE = 100
const BATCH = 1_000

/** A queue as one writes it on a local store: what was put is on disk, and taking is putting away for ever, on disk too. */
interface LocalQueue {
  put(count: number): Promise<void> | void
  /** The oldest. */
  take(count: number): Promise<void> | void
  close(): Promise<void> | void
}

/** What we use of classic-level. */
interface Level {
  open(): Promise<void>
  batch(operations: readonly object[], options: { sync: boolean }): Promise<void>
  iterator(options: { limit: number }): { all(): Promise<[string, Uint8Array][]> }
  close(): Promise<void>
}

/** What somebody would use instead of an embedded broker: a table in SQLite, and keys in LevelDB. */
export function localQueueRows(scale: Scale): Row[] {
  return (
    [
      ['SQLite, synchronous FULL', sqliteQueue],
      ['LevelDB, sync', levelQueue],
    ] as const
  ).flatMap(([name, open]) =>
    (
      [
        ['one by one', 1],
        ['in batches', BATCH],
      ] as const
    ).map(([style, batch]) => ({
      name: `a queue in ${name}, ${SIZE} B, ${style}`,
      unit: 'msg/s' as const,
      measure: () => measure(scale, open, batch),
    })),
  )
}

async function measure(
  scale: Scale,
  open: (directory: string) => LocalQueue | Promise<LocalQueue>,
  batch: number,
): Promise<Record<string, number>> {
  const directory = mkdtempSync(join(scale.directory, 'local-'))
  const queue = await open(directory)
  try {
    await through(queue, batch, scale.seconds)
    return { '': await through(queue, batch, scale.seconds) }
  } finally {
    await queue.close()
    rmSync(directory, { recursive: true, force: true })
  }
}

/** Messages a second. */
async function through(queue: LocalQueue, batch: number, seconds: number): Promise<number> {
  const begun = performance.now()
  let count = 0
  while (performance.now() - begun < seconds * 1000) {
    await queue.put(batch)
    await queue.take(batch)
    count += batch
  }
  return (count / (performance.now() - begun)) * 1000
}

function sqliteQueue(directory: string): LocalQueue {
  const database = new DatabaseSync(join(directory, 'queue.db'))
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
  database.exec('CREATE TABLE jobs (id INTEGER PRIMARY KEY, body BLOB NOT NULL)')
  const insert = database.prepare('INSERT INTO jobs (body) VALUES (?)')
  const oldest = database.prepare('SELECT id, body FROM jobs ORDER BY id LIMIT ?')
  const remove = database.prepare('DELETE FROM jobs WHERE id <= ?')
  const body = new Uint8Array(SIZE).fill(7)
  return {
    put: (count) => {
      database.exec('BEGIN')
      for (let i = 0; i < count; i++) insert.run(body)
      database.exec('COMMIT')
    },
    take: (count) => {
      const rows = oldest.all(count)
      if (rows.length !== count) throw new Error(`${rows.length} messages instead of ${count}`)
      remove.run(rows.at(-1)!.id!)
    },
    close: () => database.close(),
  }
}

async function levelQueue(directory: string): Promise<LocalQueue> {
  const { ClassicLevel } = await load<{ ClassicLevel: new (path: string, options: object) => Level }>(
    'classic-level',
  )
  const database = new ClassicLevel(directory, { valueEncoding: 'buffer' })
  await database.open()
  const value = Buffer.alloc(SIZE, 7)
  let next = 0
  return {
    put: (count) => {
      const keys = Array.from({ length: count }, () => String(next++).padStart(12, '0'))
      return database.batch(
        keys.map((key) => ({ type: 'put', key, value })),
        { sync: true },
      )
    },
    take: async (count) => {
      const entries = await database.iterator({ limit: count }).all()
      if (entries.length !== count) throw new Error(`${entries.length} messages instead of ${count}`)
      await database.batch(
        entries.map(([key]) => ({ type: 'del', key })),
        { sync: true },
      )
    },
    close: () => database.close(),
  }
}
