import { join } from 'node:path'
import type { Peer } from '../peer.ts'
import { find, freePort, ServerProcess } from '../server-process.ts'

export const nats: Peer = {
  name: 'NATS JetStream',
  durability: 'file store, confirmed from the page cache; fsync every 2 minutes (its default)',
  driver: 'nats',
  client: 'nats',
  start: async (directory) => {
    const port = await freePort()
    return ServerProcess.start({
      file: find('nats-server', 'nats-server'),
      args: [
        '--addr',
        '127.0.0.1',
        '--port',
        `${port}`,
        '--jetstream',
        '--store_dir',
        join(directory, 'store'),
      ],
      directory,
      port,
      url: `nats://127.0.0.1:${port}`,
      version: /Version:\s+(\S+)/,
      ready: /Server is ready/,
    })
  },
}
