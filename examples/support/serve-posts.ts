import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tell } from './program.ts'

/**
 * Answers POST requests whose bodies are JSON: 204, or 500 when the handler of the path rejects. Tells the parent its port,
 * which is another one when `port` is 0.
 */
export function servePosts(
  port: number,
  handlers: Readonly<Record<string, (body: never) => Promise<void>>>,
): void {
  const server = createServer((request, response) => {
    request
      .toArray()
      .then((pieces) => handlers[request.url!]!(JSON.parse(pieces.join('')) as never))
      .then(
        () => response.writeHead(204).end(),
        (error) => response.writeHead(500).end(String(error)),
      )
  })
  server.listen(port, '127.0.0.1', () =>
    tell({ event: 'ready', port: (server.address() as AddressInfo).port }),
  )
  process.on('disconnect', () => process.exit())
}
