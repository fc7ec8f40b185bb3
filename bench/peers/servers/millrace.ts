import { Server } from '../../server.ts'
import type { Peer } from '../peer.ts'

export const millrace: Peer = {
  name: 'Millrace',
  durability: 'journal, confirmed after fdatasync',
  driver: 'millrace',
  client: 'our AMQP 1.0 client',
  amqp10: true,
  start: (directory) => Server.start(directory),
}
