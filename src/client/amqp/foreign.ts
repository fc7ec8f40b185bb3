import { MillraceError } from '../../model/errors.ts'

/** How protocols that are not AMQP 1.0 begin to answer its header, and what to write for them. */
const beginnings: readonly (readonly [RegExp, string])[] = [
  [/^AMQP\x00\x00\x09\x01/, 'AMQP 0-9-1, as RabbitMQ does: write rabbitmq:// for it'],
  [/^AMQP\x01\x01\x00\x09/, 'AMQP 0-9: write rabbitmq:// for it'],
  [/^AMQP\x00\x01\x00\x00/, 'AMQP 1.0 without its SASL layer, which this client needs'],
  [/^AMQP/, 'another version of AMQP'],
  [/^HTTP\//, 'HTTP: AMQP is usually on port 5672'],
  [/^(ERROR|CONNECTED)/, 'STOMP: AMQP is usually on port 5672'],
  [/^[\x20\x30\x40]/, 'MQTT: AMQP is usually on port 5672'],
  [/^[\x15\x16]\x03/, 'TLS: write amqps:// instead of amqp://'],
  [/^-ERR|^-DENIED/, 'Redis: write redis:// for it'],
  [/^\x00\x00.{2}\x01Active/s, "OpenWire, ActiveMQ's own protocol: name its AMQP port"],
]

/** The error for a server at `name` that answered with `bytes` where an AMQP 1.0 header was expected. */
export function foreignProtocol(name: string, bytes: Uint8Array): MillraceError {
  const text = Buffer.from(bytes).toString('latin1')
  const [, spoken] = beginnings.find(([beginning]) => beginning.test(text)) ?? []
  const hex = Buffer.from(bytes).toString('hex')
  return new MillraceError(
    'protocol-mismatch',
    spoken === undefined
      ? `${name} does not speak AMQP 1.0; its answer begins with the bytes ${hex}`
      : `${name} speaks ${spoken}`,
  )
}
