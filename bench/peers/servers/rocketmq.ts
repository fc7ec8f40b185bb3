import { execFile } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { classPath } from '../maven.ts'
import type { Peer, RunningPeer } from '../peer.ts'
import { freePort, ServerProcess } from '../server-process.ts'

const run = promisify(execFile)
const VERSION = '5.4.0'
const artifacts = ['namesrv', 'proxy', 'tools'].map(
  (name) => `org.apache.rocketmq:rocketmq-${name}:${VERSION}`,
)
const PACKAGE = 'org.apache.rocketmq'

export const rocketmq: Peer = {
  name: 'Apache RocketMQ',
  durability: 'commit log, confirmed after fsync (flushDiskType=SYNC_FLUSH)',
  driver: 'rocketmq',
  client: 'rocketmq-client-nodejs',
  start,
}

/** A name server, and a broker in one process with the proxy that the client talks to. */
async function start(directory: string): Promise<RunningPeer> {
  const libraries = await classPath(...artifacts)
  await using stack = new AsyncDisposableStack()
  const [names, broker, grpc] = [await freePort(), await freePort(), await freePort()]
  await configure(directory, names, broker, grpc)
  const java = (...args: string[]): string[] => [`-Duser.home=${directory}`, '-cp', libraries, ...args]
  const env = { ROCKETMQ_HOME: directory }
  const configuration = (name: string): string => join(directory, name)
  const nameServer = await ServerProcess.start({
    file: 'java',
    args: java('-Xmx256m', `${PACKAGE}.namesrv.NamesrvStartup`, '-c', configuration('namesrv.conf')),
    directory: join(directory, 'names'),
    env,
    port: names,
    url: `127.0.0.1:${names}`,
  })
  stack.use(nameServer)
  const local = ['-pm', 'local', '-n', nameServer.url]
  const configured = ['-bc', configuration('broker.conf'), '-pc', configuration('rmq-proxy.json')]
  const server = await ServerProcess.start({
    file: 'java',
    args: java('-Xmx1g', `${PACKAGE}.proxy.ProxyStartup`, ...local, ...configured),
    directory,
    env,
    port: grpc,
    url: `127.0.0.1:${grpc}`,
    ready: /startup successfully/,
  })
  stack.use(server)
  const admin = async (...command: string[]): Promise<string> => {
    const at = ['-n', nameServer.url, '-b', `127.0.0.1:${broker}`]
    const options = { cwd: directory, env: { ...process.env, ...env } }
    const args = java(`${PACKAGE}.tools.command.MQAdminStartup`, ...command, ...at)
    return (await run('java', args, options)).stdout
  }
  await admin('updateTopic', '-t', 'jobs', '-r', '1', '-w', '1')
  const version = /brokerVersionDesc\s*:\s*V?(\S+)/.exec(await admin('brokerStatus'))?.[1] ?? 'unknown'
  const started = stack.move()
  return {
    version: version.replaceAll('_', '.'),
    pid: server.pid,
    url: server.url,
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  }
}

async function configure(directory: string, names: number, broker: number, grpc: number): Promise<void> {
  mkdirSync(join(directory, 'conf'))
  mkdirSync(join(directory, 'names'))
  const properties = (name: string, values: Readonly<Record<string, string | number>>): void =>
    writeFileSync(
      join(directory, name),
      Object.entries(values)
        .map(([key, value]) => `${key}=${value}\n`)
        .join(''),
    )
  properties('namesrv.conf', { listenPort: names, bindAddress: '127.0.0.1' })
  properties('broker.conf', {
    brokerIP1: '127.0.0.1',
    bindAddress: '127.0.0.1',
    listenPort: broker,
    haListenPort: await freePort(),
    namesrvAddr: `127.0.0.1:${names}`,
    storePathRootDir: join(directory, 'store'),
    storePathCommitLog: join(directory, 'store', 'commitlog'),
    flushDiskType: 'SYNC_FLUSH',
    mappedFileSizeCommitLog: 128 * 2 ** 20,
  })
  const proxy = {
    rocketMQClusterName: 'DefaultCluster',
    grpcServerPort: grpc,
    remotingListenPort: await freePort(),
    localServeAddr: '127.0.0.1',
  }
  writeFileSync(join(directory, 'rmq-proxy.json'), JSON.stringify(proxy))
}
