import { statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Context, connect, MillraceError, type Queue, queue } from '../index.ts'
import type { Call } from './command.ts'
import { suggestion } from './nearest.ts'

/** Connects for as long as `use` takes. What was received and not settled goes back, whatever happens. */
export async function withBroker<T>(call: Call, use: (mq: Context) => Promise<T>): Promise<T> {
  const mq = await connect(call.url, { signal: call.signal })
  let failure: MillraceError | undefined
  mq.on('error', (error) => {
    failure = error
  })
  try {
    const result = await use(mq)
    if (failure) throw failure
    return result
  } finally {
    await mq.close({ drain: call.signal.aborted ? 0 : undefined })
  }
}

/** The same for commands that look at what is there: a mistyped directory is not created. Rejects with `directory-unusable`. */
export async function withExistingBroker<T>(call: Call, use: (mq: Context) => Promise<T>): Promise<T> {
  const directory = directoryOf(call.url)
  if (directory !== undefined && !isDirectory(directory)) {
    throw new MillraceError(
      'directory-unusable',
      `there is no directory ${directory}; name the right one with --url file:DIR, or send a message to create it`,
    )
  }
  return withBroker(call, use)
}

function directoryOf(url: string): string | undefined {
  if (!/^file:/i.test(url)) return undefined
  return /^file:\/\//i.test(url) ? fileURLToPath(url) : url.slice('file:'.length)
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}

/** A queue that exists. Rejects with `destination-not-found`. */
export async function existingQueue(mq: Context, name: string): Promise<Queue> {
  const wanted = queue(name)
  const names = (await mq.management.queues()).map((report) => report.name)
  if (names.includes(name)) return wanted
  const hint = suggestion(name, names) || "; 'millrace queues' lists what there is"
  throw new MillraceError('destination-not-found', `there is no queue '${name}'${hint}`)
}
