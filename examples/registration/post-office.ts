/**
 * The company that delivers mail and text messages, which is slow: 40 to 80 ms. It knows a request that comes again by its
 * idempotency-key, as such companies do, and writes down how often it came.
 */
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as pause } from 'node:timers/promises'
import { tell } from '../support/program.ts'
import type { Greeting } from './words.ts'

const [file] = process.argv.slice(2) as [string]
const database = new DatabaseSync(file)
database.exec(`
  PRAGMA journal_mode = WAL;
  CREATE TABLE deliveries (id TEXT PRIMARY KEY, kind TEXT, user INTEGER, asked INTEGER DEFAULT 1);
`)
const note = database.prepare(`
  INSERT INTO deliveries (id, kind, user) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET asked = asked + 1`)

async function bodyOf(request: IncomingMessage): Promise<Greeting> {
  return JSON.parse((await request.toArray()).join(''))
}

async function answer(request: IncomingMessage): Promise<void> {
  const { user } = await bodyOf(request)
  await pause(40 + Math.random() * 40)
  note.run(request.headers['idempotency-key'] as string, request.url!.slice(1), user)
}

const server = createServer((request, response) => {
  answer(request).then(
    () => response.writeHead(204).end(),
    (error) => response.writeHead(500).end(String(error)),
  )
})
server.listen(0, '127.0.0.1', () => tell({ event: 'ready', port: (server.address() as AddressInfo).port }))
process.on('disconnect', () => process.exit())
