/** The ground of connections: answers each frame of one length with another, as a broker confirms, and nothing else. */
import { createServer } from 'node:net'
import { serveProgram } from '../programs.ts'
import { ANSWER, FRAME } from './tcp-frames.ts'

const answer = Buffer.alloc(ANSWER)
const server = createServer({ noDelay: true }, (socket) => {
  let bytes = 0
  socket.on('data', (chunk) => {
    bytes += chunk.length
    const frames = Math.floor(bytes / FRAME)
    bytes -= frames * FRAME
    if (frames === 1) socket.write(answer)
    else if (frames > 1) socket.write(Buffer.alloc(frames * ANSWER))
  })
  socket.on('error', () => socket.destroy())
})

serveProgram(async (_: 'listen'): Promise<number> => {
  await new Promise<void>((resolve) => server.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 }, resolve))
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
})
