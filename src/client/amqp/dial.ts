import { connect as connectTcp, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import { MillraceError } from '../../model/errors.ts'
import type { TlsOptions } from '../provider.ts'
import type { Address } from './address.ts'

/** A stream to somebody who may be a broker, and as whom to speak to it. */
export interface Dialled {
  readonly socket: Socket
  /** For messages. */
  readonly name: string
  /** Host name told to the broker. */
  readonly hostname: string | undefined
  readonly username: string | undefined
  readonly password: string | undefined
  /** Nobody else reads along: encrypted, or within this machine. */
  readonly secure: boolean
}

/** Makes one attempt. Rejects with a MillraceError. */
export type Dial = (signal: AbortSignal) => Promise<Dialled>

/** A connected socket to the address. Rejects with `connection-failed`. */
export async function dialAddress(
  address: Address,
  tls: TlsOptions,
  timeout: number,
  signal: AbortSignal,
): Promise<Dialled> {
  const socket = open(address, tls)
  await connected(socket, address, timeout, signal)
  socket.setNoDelay(true)
  const { name, host, username, password } = address
  return { socket, name, hostname: host, username, password, secure: address.tls || isLoopback(socket) }
}

function open({ host, port, tls }: Address, options: TlsOptions): Socket {
  if (!tls) return connectTcp({ host, port })
  const { ca, cert, key, servername } = options
  const name = servername ?? (/^[\d.]+$|:/.test(host) ? undefined : host)
  return connectTls({ host, port, ca, cert, key, servername: name } as ConnectionOptions)
}

function isLoopback({ remoteAddress = '' }: Socket): boolean {
  return /^(::ffff:)?127\.|^::1$/.test(remoteAddress)
}

function connected(socket: Socket, address: Address, timeout: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
      socket.removeListener('error', fail)
    }
    const fail = (cause: unknown) => {
      end()
      socket.on('error', () => {})
      socket.destroy()
      reject(unreachable(address, cause))
    }
    const abort = () => fail(signal.reason)
    const timer = setTimeout(() => fail(new Error(`no answer within ${timeout} ms`)), timeout)
    signal.addEventListener('abort', abort, { once: true })
    socket.once('error', fail)
    socket.once(address.tls ? 'secureConnect' : 'connect', () => {
      end()
      resolve()
    })
    if (signal.aborted) abort()
  })
}

function unreachable(address: Address, cause: unknown): MillraceError {
  const { code = '', message = String(cause) } = cause as NodeJS.ErrnoException
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG') {
    return new MillraceError(
      'protocol-mismatch',
      `${address.name} does not speak TLS; write amqp:// instead of amqps://, or name the TLS port`,
      { cause },
    )
  }
  const hint = code === 'ECONNREFUSED' ? '; nobody listens there' : ''
  return new MillraceError('connection-failed', `cannot connect to ${address.name}: ${message}${hint}`, {
    cause,
  })
}
