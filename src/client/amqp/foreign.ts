import { MillraceError } from '../../model/errors.ts'

const AMQP_PORT = 'AMQP is usually on port 5672'

/** How protocols that are not AMQP 1.0 begin to answer its header, in hexadecimal, and what to write for them. */
const beginnings: readonly (readonly [RegExp, string])[] = [
  [/^414d515000000901/, 'AMQP 0-9-1, as RabbitMQ does: write rabbitmq:// for it'],
  [/^414d515001010009/, 'AMQP 0-9: write rabbitmq:// for it'],
  [/^414d515000010000/, 'AMQP 1.0 without its SASL layer, which this client needs'],
  [/^414d5150/, 'another version of AMQP'],
  [beginningWith('HTTP/'), `HTTP: ${AMQP_PORT}`],
  [beginningWith('ERROR'), `STOMP: ${AMQP_PORT}`],
  [/^[234]0/, `MQTT: ${AMQP_PORT}`],
  [/^1[56]03/, 'TLS: write amqps:// instead of amqp://'],
  [beginningWith('-ERR'), 'Redis: write redis:// for it'],
  [beginningWith('-DENIED'), 'Redis: write redis:// for it'],
  [/^0000....01/, "OpenWire, ActiveMQ's own protocol: name its AMQP port"],
]

function beginningWith(text: string): RegExp {
  return new RegExp(`^${Buffer.from(text).toString('hex')}`)
}

/** The error for a server at `name` that answered with `bytes` where an AMQP 1.0 header was expected. */
export function foreignProtocol(name: string, bytes: Uint8Array): MillraceError {
  const hex = Buffer.from(bytes).toString('hex')
  const [, spoken] = beginnings.find(([beginning]) => beginning.test(hex)) ?? []
  return new MillraceError(
    'protocol-mismatch',
    spoken === undefined
      ? `${name} does not speak AMQP 1.0; its answer begins with the bytes ${hex}`
      : `${name} speaks ${spoken}`,
  )
}
