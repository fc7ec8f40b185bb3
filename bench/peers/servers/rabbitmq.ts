import { mkdirSync, readdirSync, realpathSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Missing, type Peer, type RunningPeer } from '../peer.ts'
import { find, freePort, ServerProcess } from '../server-process.ts'

export const rabbitmqClassic: Peer = {
  name: 'RabbitMQ, classic queue',
  durability: 'durable queue, persistent, publisher confirms after fsync',
  driver: 'amqplib',
  client: 'amqplib',
  start: (directory) => start(directory, 'classic'),
}

export const rabbitmqQuorum: Peer = {
  name: 'RabbitMQ, quorum queue',
  durability: 'Raft log with one member, publisher confirms after fdatasync',
  driver: 'amqplib',
  client: 'amqplib',
  start: (directory) => start(directory, 'quorum'),
}

async function start(directory: string, type: string): Promise<RunningPeer> {
  // Debian's command goes over to a user of its own, to whom our directory does not belong.
  const versions = join(dirname(realpathSync(find('rabbitmq-server', 'rabbitmq-server'))), '..', 'lib')
  const home = readdirSync(versions, { withFileTypes: true }).find(({ name }) =>
    name.startsWith('rabbitmq_server-'),
  )
  if (home === undefined)
    throw new Missing(
      `${versions}/rabbitmq_server-*: apt-get install --no-install-recommends rabbitmq-server`,
    )
  const [port, distribution, mapper] = [await freePort(), await freePort(), await freePort()]
  writeFileSync(join(directory, 'rabbitmq.conf'), `listeners.tcp.default = 127.0.0.1:${port}\n`)
  writeFileSync(join(directory, 'enabled_plugins'), '[].\n')
  const mapperDirectory = join(directory, 'epmd')
  mkdirSync(mapperDirectory)
  // A mapper of our own: the one that RabbitMQ would start outlives it.
  const epmd = await ServerProcess.start({
    file: find('epmd', 'erlang-base'),
    args: ['-port', `${mapper}`, '-address', '127.0.0.1'],
    directory: mapperDirectory,
    port: mapper,
    url: `epmd://127.0.0.1:${mapper}`,
  })
  const server = await ServerProcess.start({
    file: join(versions, home.name, 'sbin', 'rabbitmq-server'),
    args: [],
    directory,
    env: {
      HOME: directory,
      ERL_EPMD_PORT: `${mapper}`,
      ERL_EPMD_ADDRESS: '127.0.0.1',
      RABBITMQ_NODENAME: `peer-${type}@localhost`,
      RABBITMQ_DIST_PORT: `${distribution}`,
      RABBITMQ_MNESIA_BASE: join(directory, 'mnesia'),
      RABBITMQ_LOG_BASE: join(directory, 'logs'),
      RABBITMQ_LOGS: '-',
      RABBITMQ_CONFIG_FILE: join(directory, 'rabbitmq.conf'),
      RABBITMQ_ENABLED_PLUGINS_FILE: join(directory, 'enabled_plugins'),
    },
    port,
    url: `amqp://guest:guest@127.0.0.1:${port}#${type}`,
    version: /Starting RabbitMQ (\S+)/,
    ready: /Server startup complete/,
  }).catch(async (error: unknown) => {
    await epmd[Symbol.asyncDispose]()
    throw error
  })
  return {
    version: server.version,
    pid: server.pid,
    url: server.url,
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]()
      await epmd[Symbol.asyncDispose]()
    },
  }
}
