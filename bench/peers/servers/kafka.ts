import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { classPath } from '../maven.ts'
import type { Peer } from '../peer.ts'
import { freePort, ServerProcess } from '../server-process.ts'

const run = promisify(execFile)
const VERSION = '4.1.1'

export const kafka: Peer = {
  name: 'Apache Kafka',
  durability:
    'acks=all with one replica, confirmed from the page cache; fsync left to the system (its default)',
  driver: 'kafka',
  client: '@platformatic/kafka, up to 500 records in a send, offsets committed every 100 ms',
  start: async (directory) => {
    const libraries = await classPath(
      `org.apache.kafka:kafka_2.13:${VERSION}`,
      'org.slf4j:slf4j-simple:1.7.36',
    )
    const [port, controller] = [await freePort(), await freePort()]
    const properties = {
      'process.roles': 'broker,controller',
      'node.id': 1,
      'controller.quorum.bootstrap.servers': `127.0.0.1:${controller}`,
      listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controller}`,
      'controller.listener.names': 'CONTROLLER',
      'log.dirs': join(directory, 'data'),
      'offsets.topic.replication.factor': 1,
      'transaction.state.log.replication.factor': 1,
      'transaction.state.log.min.isr': 1,
      'group.initial.rebalance.delay.ms': 0,
    }
    const file = join(directory, 'server.properties')
    writeFileSync(
      file,
      Object.entries(properties)
        .map(([key, value]) => `${key}=${value}\n`)
        .join(''),
    )
    const java = ['-Xmx1g', '-cp', libraries]
    const format = [
      'kafka.tools.StorageTool',
      'format',
      '--standalone',
      '-t',
      'AAAAAAAAQACAAAAAAAAAAQ',
      '-c',
      file,
    ]
    await run('java', [...java, ...format], { cwd: directory })
    return ServerProcess.start({
      file: 'java',
      args: [...java, 'kafka.Kafka', file],
      directory,
      port,
      url: `127.0.0.1:${port}`,
      version: /Kafka version: (\S+)/,
      ready: /Kafka Server started/,
    })
  },
}
