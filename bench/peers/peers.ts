import type { Peer } from './peer.ts'
import { activemq } from './servers/activemq.ts'
import { artemis } from './servers/artemis.ts'
import { kafka } from './servers/kafka.ts'
import { millrace } from './servers/millrace.ts'
import { mosquitto } from './servers/mosquitto.ts'
import { nats } from './servers/nats.ts'
import { rabbitmqClassic, rabbitmqQuorum } from './servers/rabbitmq.ts'
import { bullmqAlways, bullmqEverySecond } from './servers/redis.ts'
import { rocketmq } from './servers/rocketmq.ts'

/** Ours is the first. */
export const peers: readonly Peer[] = [
  millrace,
  artemis,
  rabbitmqClassic,
  rabbitmqQuorum,
  activemq,
  bullmqAlways,
  bullmqEverySecond,
  nats,
  kafka,
  mosquitto,
  rocketmq,
]
