import { randomUUID } from 'node:crypto'
import type { ProviderConnection, ProviderOptions } from '../provider.ts'
import { parseAddresses } from './address.ts'
import { AmqpConnection } from './connection.ts'
import { dialAddress } from './dial.ts'
import { Dialler } from './dialler.ts'
import { resolveReconnect, timeout } from './options.ts'

/**
 * Connects to an AMQP 1.0 broker at the URL, `amqp://…`, `amqps://…` or `failover:(…,…)`. Rejects with `url-invalid`,
 * `connection-failed`, `protocol-mismatch`, `authentication-failed`, `client-id-invalid`.
 */
export async function connectAmqp(url: string, options: ProviderOptions): Promise<ProviderConnection> {
  const { clientId, signal, events, tls = {}, reconnect } = options
  const connectTimeout = timeout('connectTimeout', options.connectTimeout, 10_000)
  const dials = parseAddresses(url).map(
    (address) => (attempt: AbortSignal) => dialAddress(address, tls, connectTimeout, attempt),
  )
  const dialler = new Dialler(dials, resolveReconnect(reconnect), {
    containerId: clientId ?? randomUUID(),
    exclusive: clientId !== undefined,
    idleTimeout: timeout('idleTimeout', options.idleTimeout, 30_000),
    handshakeTimeout: connectTimeout,
  })
  return AmqpConnection.open(dialler, clientId, events, signal)
}
