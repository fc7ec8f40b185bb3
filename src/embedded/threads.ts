import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { ProviderConnection, ProviderOptions } from '../client/provider.ts'
import { type ErrorCode, MillraceError } from '../model/errors.ts'
import { attach, type Holding } from './attached.ts'
import type { EmbeddedOptions } from './opening.ts'
import { type Ended, type Shared, SharedBrokers } from './shared-brokers.ts'
import type { Whereabouts } from './whereabouts.ts'

/** What a thread is started with. */
export interface ThreadOrder {
  readonly kind: 'file' | 'memory'
  /** Where the data are, or for a broker in memory only the socket. */
  readonly directory: string
  readonly options: EmbeddedOptions
}

/** What a thread tells. */
export type ThreadReply =
  | { readonly event: 'opened' | 'closed' }
  | {
      readonly event: 'failed'
      readonly code: ErrorCode | undefined
      readonly message: string
      readonly cause: unknown
    }

/** As this file runs, from sources or compiled, so does the thread. */
const program = new URL(`./broker-thread${import.meta.url.slice(-'.ts'.length)}`, import.meta.url)

const threads = new SharedBrokers<BrokerThread>()

/**
 * The same as in this thread, with the broker in another one: it owns the directory, and this thread is attached to it, as
 * other processes are. Rejects with `argument-invalid` for options that cannot be handed to a thread.
 */
export async function openInThread(
  { name, directory }: Whereabouts,
  options: EmbeddedOptions | undefined,
  asked: ProviderOptions,
): Promise<ProviderConnection> {
  checkOptions(options)
  if (directory !== undefined) {
    const order: ThreadOrder = { kind: 'file', directory, options: options ?? {} }
    return attach(directory, () => joined(name, options, () => order), asked)
  }
  const thread = await joined(name, options, () => ({
    kind: 'memory',
    directory: mkdtempSync(join(tmpdir(), 'millrace-')),
    options: options ?? {},
  }))
  let first: BrokerThread | undefined = thread
  const takeOver = async (): Promise<Holding> => {
    if (!first)
      throw new MillraceError('closed', 'the thread of the broker has ended, and all that was in its memory')
    const holding = first
    first = undefined
    return holding
  }
  return attach(thread.directory, takeOver, asked)
}

function joined(
  name: string,
  options: EmbeddedOptions | undefined,
  order: () => ThreadOrder,
): Promise<BrokerThread> {
  return threads.connect(name, options, undefined, (ended) => BrokerThread.open(order(), ended))
}

function checkOptions({ clock, random }: EmbeddedOptions = {}): void {
  if (!clock && !random) return
  throw new MillraceError(
    'argument-invalid',
    'a clock or a random of your own cannot be handed to another thread',
  )
}

/** A thread with a broker, and those of this process who use it; it ends with the last of them. */
class BrokerThread implements Shared, Holding {
  readonly directory: string
  private readonly order: ThreadOrder
  private readonly worker: Worker
  private readonly ended: Ended
  private readonly closing: PromiseWithResolvers<void> = Promise.withResolvers()
  private users = 0
  private state: 'open' | 'closing' | 'over' = 'open'

  static open(order: ThreadOrder, ended: Ended): Promise<BrokerThread> {
    const worker = new Worker(program, { workerData: order, name: 'millrace' })
    return new Promise((resolve, reject) => {
      const fail = (error: unknown) => {
        dispose(order)
        reject(error)
      }
      worker.once('error', fail)
      worker.once('message', (reply: ThreadReply) => {
        worker.removeListener('error', fail)
        if (reply.event === 'failed') fail(failure(reply))
        else resolve(new BrokerThread(order, worker, ended))
      })
    })
  }

  private constructor(order: ThreadOrder, worker: Worker, ended: Ended) {
    this.directory = order.directory
    this.order = order
    this.worker = worker
    this.ended = ended
    // What is connected to it keeps the process alive, not the thread.
    worker.unref()
    worker.on(
      'message',
      (reply: ThreadReply) => reply.event === 'failed' && this.closing.reject(failure(reply)),
    )
    worker.on('error', (cause) => this.closing.reject(cause))
    worker.on('exit', () => this.gone())
    this.closing.promise.catch(() => {})
  }

  get alive(): boolean {
    return this.state !== 'over'
  }

  join(): void {
    this.users++
  }

  leave(): Promise<void> {
    if (--this.users > 0 || this.state !== 'open') return Promise.resolve()
    this.state = 'closing'
    this.worker.ref()
    this.worker.postMessage('close')
    this.ended(this.closing.promise)
    return this.closing.promise
  }

  /** In good order or not: who is connected finds that out by the socket, and asks for another thread. */
  private gone(): void {
    if (this.state === 'open') this.ended(Promise.resolve())
    this.state = 'over'
    dispose(this.order)
    this.closing.resolve()
  }
}

/** Nothing but the socket was in the directory of a broker in memory. */
function dispose({ kind, directory }: ThreadOrder): void {
  if (kind === 'memory') rmSync(directory, { recursive: true, force: true })
}

function failure({ code, message, cause }: ThreadReply & { event: 'failed' }): unknown {
  return code === undefined ? cause : new MillraceError(code, message, { cause })
}
