import type { Context } from '../../client/context.ts'
import { type Queue, queue as queueOf } from '../../client/destinations.ts'
import type { BrowsedMessage } from '../../client/message.ts'
import type { MoveOptions } from '../../client/provider.ts'
import { MillraceError } from '../../model/errors.ts'
import { passed } from '../waiting.ts'

/** Stands for the name of the queue in the policy's name of its dead-letter queue. */
const QUEUE = '{queue}'

export interface RedriveOptions<T> extends Pick<MoveOptions, 'limit' | 'selector' | 'rate'> {
  /** Only those of which it is true, by body, reason, history or whatever else a message shows. */
  readonly where?: ((message: BrowsedMessage<T>) => boolean | Promise<boolean>) | undefined
}

/**
 * The queue that takes the dead letters of `queue`, by the policy that the broker has for it. Rejects with
 * `destination-not-found` when the queue does not exist, or has none.
 */
export async function deadLetterQueue<T>(mq: Context, queue: Queue<never, T>): Promise<Queue<never, T>> {
  const pattern = await patternOf(mq, queue.name)
  return { ...queueOf<never, T>(pattern.replaceAll(QUEUE, queue.name)), schema: queue.schema }
}

async function patternOf(mq: Context, name: string): Promise<string> {
  const report = (await mq.management.queues()).find((queue) => queue.name === name)
  const pattern = report?.policy.deadLetter
  if (pattern !== undefined) return pattern
  const problem = report ? 'has no dead-letter queue' : 'does not exist'
  throw new MillraceError('destination-not-found', `the queue ${name} ${problem}`)
}

/**
 * Moves dead letters of `queue` back to it, to be tried as if for the first time; answers how many. Those of other queues,
 * where they share one for them, stay. Each is always in one queue, so that it may be called again. Rejects as
 * `deadLetterQueue`, and with `selector-invalid`, `unsupported`.
 */
export async function redrive<T>(
  mq: Context,
  queue: Queue<never, T>,
  options: RedriveOptions<T> = {},
): Promise<number> {
  const { where, ...rest } = options
  const letters = await deadLetterQueue(mq, queue)
  if (!(await mq.management.queues()).some(({ name }) => name === letters.name)) return 0
  const isOwn = (await patternOf(mq, queue.name)).includes(QUEUE)
  if (isOwn && !where) return mq.management.redrive(letters.name, rest)
  return oneByOne(mq, letters, queue.name, options)
}

async function oneByOne<T>(
  mq: Context,
  letters: Queue<never, T>,
  origin: string,
  { limit = Number.POSITIVE_INFINITY, rate, selector, where = () => true }: RedriveOptions<T>,
): Promise<number> {
  const begun = mq.clock.monotonic()
  let moved = 0
  for await (const message of mq.browse(letters, { selector })) {
    if (moved >= limit) break
    if (message.deadLetter?.origin.queue !== origin || !(await where(message))) continue
    const due = rate === undefined ? 0 : begun + (moved * 1_000) / rate
    if (due > mq.clock.monotonic()) await passed(mq.clock, due - mq.clock.monotonic())
    moved += await mq.management.redrive(letters.name, { brokerId: message.brokerId })
  }
  return moved
}
