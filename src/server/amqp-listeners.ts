import { createServer, type Server } from 'node:net'
import { createServer as createTlsServer, type TLSSocket, type TlsOptions } from 'node:tls'
import type { Clients } from './clients.ts'

/** Accepts clients that speak AMQP from the first byte. */
export function makeAmqpServer(clients: Clients): Server {
  return createServer((socket) => {
    if (clients.admit(socket)) clients.serve(socket, false)
  })
}

/** A listener behind TLS, whose certificate can be renewed while it listens. */
export interface SecureListener {
  readonly server: Server
  /** New connections see it; those that are open go on. */
  renew(options: TlsOptions): void
}

/** Accepts clients that speak TLS first. Who is too many is turned away before that work begins. */
export function makeAmqpsServer(clients: Clients, options: TlsOptions): SecureListener {
  const tls = createTlsServer(options, (socket) => clients.serve(socket, true))
  tls.on('tlsClientError', (error: Error, socket: TLSSocket) => {
    clients.unsafe(error, socket)
    socket.destroy()
  })
  const server = createServer((socket) => {
    socket.on('error', () => {})
    if (clients.admit(socket)) tls.emit('connection', socket)
  })
  return { server, renew: (renewed) => tls.setSecureContext(renewed) }
}
