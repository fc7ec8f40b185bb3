import { once } from 'node:events'
import { connect as dial, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { SeededRandom } from '../../src/testing/random.ts'

/** The crowd: connections that say nothing, and some that babble, until the process is ended. Prints a line when all are there. */
const [host, port, silent, babbling, seed] = [process.argv[2]!, ...process.argv.slice(3).map(Number)] as const
const random = new SeededRandom(seed!)

async function gather(): Promise<void> {
  const sockets: Socket[] = []
  while (sockets.length < silent!) {
    const some = Array.from({ length: 100 }, () => dial(port!, host).on('error', () => {}))
    await Promise.all(some.map((socket) => once(socket, 'connect')))
    sockets.push(...some)
  }
  for (let i = 0; i < babbling!; i++) void babble()
  process.stdout.write('all there\n')
}

/** Begins as the protocol asks, then sends bytes at random until it is thrown out; again and again. */
async function babble(): Promise<never> {
  const header = Buffer.from('AMQP\0\x01\0\0', 'latin1')
  for (;;) {
    const socket = dial(port!, host).on('error', () => {})
    const closed = once(socket, 'close')
    socket.write(header)
    socket.write(Buffer.from(Array.from({ length: random.between(1, 400) }, () => random.between(0, 255))))
    socket.resume()
    await Promise.race([closed, pause(200)])
    socket.destroy()
    // Never all together: those who babble have not agreed on anything.
    await pause(random.between(1, 40))
  }
}

await gather()
