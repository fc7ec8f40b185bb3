import { join } from 'node:path'
import { createArtemis } from '../../../test/client-amqp/artemis/broker.ts'
import { requireJava } from '../maven.ts'
import type { Peer } from '../peer.ts'
import { ServerProcess } from '../server-process.ts'

export const artemis: Peer = {
  name: 'Apache Artemis',
  durability: 'journal, confirmed after fdatasync (journal-datasync, tuned to the disk at creation)',
  driver: 'millrace',
  client: 'our AMQP 1.0 client',
  amqp10: true,
  start: async (directory) => {
    requireJava()
    const { folder, port, url } = await createArtemis(directory, { tuned: true })
    return ServerProcess.start({
      file: join(folder, 'bin', 'artemis'),
      args: ['run'],
      directory,
      port,
      url,
      version: /Artemis Message Broker version (\S+)/,
      ready: /AMQ221007/,
    })
  },
}
