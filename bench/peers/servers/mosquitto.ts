import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Peer } from '../peer.ts'
import { find, freePort, ServerProcess } from '../server-process.ts'

export const mosquitto: Peer = {
  name: 'Mosquitto',
  durability:
    'QoS 1 to a persistent session, confirmed from memory; a snapshot every 30 minutes (its default)',
  driver: 'mqtt',
  client: 'mqtt',
  start: async (directory) => {
    const port = await freePort()
    // By default it discards what is more than 1,000 messages behind, and has 20 in flight.
    const config = [
      `listener ${port} 127.0.0.1`,
      'allow_anonymous true',
      'persistence true',
      `persistence_location ${directory}/`,
      'max_queued_messages 0',
      'max_inflight_messages 4000',
      ...(process.getuid?.() === 0 ? ['user root'] : []),
    ]
    const file = join(directory, 'mosquitto.conf')
    writeFileSync(file, `${config.join('\n')}\n`)
    return ServerProcess.start({
      file: find('mosquitto', 'mosquitto'),
      args: ['-c', file],
      directory,
      port,
      url: `mqtt://127.0.0.1:${port}`,
      version: /mosquitto version (\S+) starting/,
      ready: /running/,
    })
  },
}
