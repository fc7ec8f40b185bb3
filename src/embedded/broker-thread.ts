/** The thread of a broker that `thread: 'worker'` asks for: opens it, serves it on its socket, closes it when told to. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { isMillraceError } from '../model/errors.ts'
import { AttachPoint } from './attach-point.ts'
import { openDirectory, openMemory } from './opening.ts'
import type { Ended } from './shared-brokers.ts'
import type { ThreadOrder, ThreadReply } from './threads.ts'

const port = parentPort as MessagePort
const { kind, directory, options } = workerData as ThreadOrder

let closed: Promise<void> = Promise.resolve()
const ended: Ended = (closing) => {
  closed = closing
}

async function run(): Promise<void> {
  const broker =
    kind === 'file'
      ? await openDirectory(directory, options, ended)
      : await openMemory(options, ended, AttachPoint.announce(directory))
  // Counted in for all who use the thread; it keeps the thread alive.
  broker.join(undefined)
  const told = new Promise((resolve) => port.once('message', resolve))
  tell({ event: 'opened' })
  await told
  await broker.leave(undefined)
  await closed
}

function tell(reply: ThreadReply): void {
  port.postMessage(reply)
}

try {
  await run()
  tell({ event: 'closed' })
} catch (cause) {
  const code = isMillraceError(cause) ? cause.code : undefined
  tell({ event: 'failed', code, message: (cause as Error).message, cause })
}
port.close()
