import type { ScheduledReport } from '../index.ts'
import { withExistingBroker } from './broker.ts'
import { type Call, type Command, takeOperands } from './command.ts'
import { ExitCode } from './exit-code.ts'
import { plural } from './output.ts'

/** Messages that are to be delivered later. */
export const scheduled: Command = {
  name: 'scheduled',
  synopsis: '[QUEUE] [--count N]',
  summary: 'list the messages that are to be delivered later, the next one first',
  details: [
    "Prints id, time, queues and message id of each; the id is what 'millrace cancel' takes. With --json, a message",
    'is one line with its repetition, size and priority.',
  ],
  options: ['count'],
  run: list,
}

export const cancel: Command = {
  name: 'cancel',
  synopsis: 'ID…',
  summary: 'cancel messages that are to be delivered later, or repeatedly',
  details: [
    'They are gone; their queues count them as cancelled. An id that is not scheduled is passed over.',
  ],
  options: [],
  run: cancelAll,
}

async function list(call: Call): Promise<number> {
  const { options, out, signal } = call
  const [queue] = takeOperands(call, 0, 1)
  const count = options.wholeNumber('count', 1, Number.MAX_SAFE_INTEGER) ?? Number.POSITIVE_INFINITY
  const seen = await withExistingBroker(call, async (mq) => {
    let seen = 0
    let after: string | undefined
    do {
      const page = await mq.management.scheduled(queue, after)
      for (const message of page.messages.slice(0, count - seen)) {
        signal.throwIfAborted()
        await (out.json ? out.document(message) : out.line(lineOf(message)))
        seen++
      }
      after = page.next
    } while (after !== undefined && seen < count)
    return seen
  })
  return seen === 0 ? ExitCode.nothing : ExitCode.ok
}

function lineOf({ id, due, queues, messageId, repetition, deliveries }: ScheduledReport): string {
  const words = [id, new Date(due).toISOString(), queues.join(','), messageId ?? '-']
  if (repetition === undefined) return words.join('  ')
  const how =
    repetition.every === undefined
      ? `cron ${repetition.cron} ${repetition.timezone ?? 'UTC'}`
      : `every ${repetition.every} ms`
  return [...words, `${how}, ${plural(deliveries, 'time')} so far`].join('  ')
}

async function cancelAll(call: Call): Promise<number> {
  const { out } = call
  const ids = takeOperands(call, 1, Number.POSITIVE_INFINITY)
  const cancelled = await withExistingBroker(call, async (mq) => {
    let count = 0
    for (const id of ids) if (await mq.management.cancel(id)) count++
    return count
  })
  await (out.json ? out.document({ cancelled }) : out.line(`${plural(cancelled, 'message')} cancelled`))
  return cancelled === 0 ? ExitCode.nothing : ExitCode.ok
}
