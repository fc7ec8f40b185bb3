import { join } from 'node:path'
import { classPath } from '../maven.ts'
import type { Peer } from '../peer.ts'
import { freePort, ServerProcess } from '../server-process.ts'

const VERSION = '6.1.7'
/** It syncs a message of a connection before it looks at the next one. */
const CONNECTIONS = 16
const parts = ['broker', 'kahadb-store', 'amqp', 'console'].map(
  (name) => `org.apache.activemq:activemq-${name}:${VERSION}`,
)

export const activemq: Peer = {
  name: 'Apache ActiveMQ',
  durability:
    'KahaDB, confirmed after a sync (enableJournalDiskSyncs), or without one when it was acknowledged before (concurrentStoreAndDispatchQueues, its default)',
  driver: 'millrace',
  client: `our AMQP 1.0 client, ${CONNECTIONS} connections for each side`,
  amqp10: true,
  start: async (directory) => {
    const libraries = await classPath(...parts, 'org.slf4j:slf4j-simple:2.0.13')
    const port = await freePort()
    const options = `persistent=true&useJmx=false&dataDirectory=${encodeURIComponent(join(directory, 'data'))}`
    return ServerProcess.start({
      file: 'java',
      args: [
        '-cp',
        libraries,
        'org.apache.activemq.console.command.ShellCommand',
        'start',
        `broker:(amqp://127.0.0.1:${port})?${options}`,
      ],
      directory,
      port,
      url: `amqp://127.0.0.1:${port}#${CONNECTIONS}`,
      version: /Apache ActiveMQ (\d\S+)/,
      ready: /Apache ActiveMQ \S+ .* started/,
    })
  },
}
