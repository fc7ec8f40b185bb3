import type { AddressInfo, Server } from 'node:net'
import { MillraceError } from '../model/errors.ts'

/** Where a listener can be reached. */
export interface Listening {
  readonly host: string
  readonly port: number
}

/** Connections that the kernel may keep for us while we are busy. */
const BACKLOG = 1_024

/** Resolves when it listens. Rejects with `argument-invalid`, saying which setting to change. */
export function listen(server: Server, host: string, port: number, path: string): Promise<Listening> {
  return new Promise((resolve, reject) => {
    const refused = (cause: NodeJS.ErrnoException): void => reject(cannotListen(cause, host, port, path))
    server.once('error', refused)
    server.listen({ host, port, backlog: BACKLOG }, () => {
      server.off('error', refused)
      const { address, port: taken } = server.address() as AddressInfo
      resolve({ host: address, port: taken })
    })
  })
}

function cannotListen(cause: NodeJS.ErrnoException, host: string, port: number, path: string): MillraceError {
  const where = `${host}:${port}`
  const hostPath = path.startsWith('http') ? 'http.host' : 'host'
  const texts: Readonly<Record<string, string>> = {
    EADDRINUSE: `port ${port} of ${host} is taken by another process; end that one, or set ${path} to another port, or to 0 for a free one`,
    EACCES: `this user may not listen on ${where}; set ${path} to a port from 1024`,
    EADDRNOTAVAIL: `${host} is no address of this machine; set ${hostPath} to one, or to 127.0.0.1`,
    ENOTFOUND: `there is no host ${host}; set ${hostPath} to a name or address of this machine`,
  }
  const text = texts[cause.code ?? ''] ?? `cannot listen on ${where}: ${cause.message}`
  return new MillraceError('argument-invalid', text, { cause })
}

/** Takes no more connections. Resolves at once: those that are open end by themselves. */
export function stopListening(server: Server): void {
  // It throws when it does not listen, as after a start that failed half way.
  if (server.listening) server.close()
}
