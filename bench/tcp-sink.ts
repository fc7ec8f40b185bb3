import { createServer } from 'node:net'

/** Counts frames by their length, as any receiver must, and answers a byte for each thousand. */
const server = createServer((socket) => {
  let rest = Buffer.alloc(0)
  let frames = 0
  socket.on('data', (chunk) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    let at = 0
    const before = Math.floor(frames / 1000)
    while (at + 4 <= bytes.length) {
      const size = bytes.readUInt32BE(at)
      if (at + size > bytes.length) break
      at += size
      frames++
    }
    rest = bytes.subarray(at)
    const answers = Math.floor(frames / 1000) - before
    if (answers > 0) socket.write(Buffer.alloc(answers))
  })
  socket.on('error', () => {})
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  process.send?.(typeof address === 'object' && address !== null ? address.port : 0)
})
