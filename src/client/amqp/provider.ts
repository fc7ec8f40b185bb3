import type { ProviderConnection, ProviderOptions } from '../provider.ts'
import { parseAddresses } from './address.ts'
import { AmqpConnection } from './connection.ts'
import { dialAddress } from './dial.ts'
import { Dialler } from './dialler.ts'
import { lineOptions, resolveReconnect } from './options.ts'

/**
 * Connects to an AMQP 1.0 broker at the URL, `amqp://…`, `amqps://…` or `failover:(…,…)`. Rejects with `url-invalid`,
 * `connection-failed`, `protocol-mismatch`, `authentication-failed`, `client-id-invalid`.
 */
export async function connectAmqp(url: string, options: ProviderOptions): Promise<ProviderConnection> {
  const { clientId, signal, events, tls = {}, reconnect } = options
  const line = lineOptions(clientId, options)
  const dials = parseAddresses(url).map(
    (address) => (attempt: AbortSignal) => dialAddress(address, tls, line.handshakeTimeout, attempt),
  )
  return AmqpConnection.open(new Dialler(dials, resolveReconnect(reconnect), line), clientId, events, signal)
}
