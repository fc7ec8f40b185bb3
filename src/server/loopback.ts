import { isIP } from 'node:net'

/** Whether an address of a socket, or a host as somebody writes it, is this machine and nothing else. */
export function isLoopback(host: string): boolean {
  const address = host.startsWith('::ffff:') ? host.slice('::ffff:'.length) : host
  if (isIP(address) === 4) return address.startsWith('127.')
  return address === '::1' || address.toLowerCase() === 'localhost'
}
