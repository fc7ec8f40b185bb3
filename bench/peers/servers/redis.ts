import type { Peer } from '../peer.ts'
import { find, freePort, ServerProcess } from '../server-process.ts'

export const bullmqAlways: Peer = {
  name: 'BullMQ on Redis, always',
  durability: 'append-only file, fsync before the answer (appendfsync always)',
  driver: 'bullmq',
  client: 'BullMQ 6, up to 100 jobs in an addBulk',
  start: (directory) => start(directory, 'always'),
}

export const bullmqEverySecond: Peer = {
  name: 'BullMQ on Redis, everysec',
  durability: 'append-only file, fsync once a second after the answer (appendfsync everysec, the default)',
  driver: 'bullmq',
  client: 'BullMQ 6, up to 100 jobs in an addBulk',
  start: (directory) => start(directory, 'everysec'),
}

async function start(directory: string, fsync: string): Promise<ServerProcess> {
  const port = await freePort()
  return ServerProcess.start({
    file: find('redis-server', 'redis-server'),
    args: [
      ...['--bind', '127.0.0.1', '--port', `${port}`, '--dir', directory, '--save', ''],
      ...['--appendonly', 'yes', '--appendfsync', fsync, '--maxmemory-policy', 'noeviction'],
    ],
    directory,
    port,
    url: `redis://127.0.0.1:${port}`,
    version: /Redis version=([^,\s]+)/,
    ready: /Ready to accept connections/,
  })
}
