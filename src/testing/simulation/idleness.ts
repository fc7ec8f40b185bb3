import type { BrowsedMessage } from '../../engine/api.ts'
import type { Broker } from '../../engine/broker.ts'
import type { SentMessage } from './messages.ts'
import { SOLO } from './plan.ts'
import { browseAll } from './stock.ts'
import { Violation } from './violation.ts'
import type { World } from './world.ts'

/** Virtual milliseconds between two looks. */
const PAUSE = 50
const ATTEMPTS = 40

/**
 * While nobody does anything, what lies ready and a present consumer with credit wants comes to it. Of the members of a
 * group that is only said where there is one consumer, and nothing of the group is on its way: whose they are otherwise
 * is the broker's business.
 */
export async function checkIdleness(world: World, broker: Broker): Promise<void> {
  const { machine, plan, report } = world
  const isEnded = (): boolean => machine.broker !== broker || world.failing
  for (const queue of plan.queues.flatMap(({ name }) => [name, `${name}.dlq`])) {
    if (world.attendance.of(queue).length === 0) continue
    let left: string | undefined = ''
    for (let attempt = 0; left !== undefined && attempt < ATTEMPTS; attempt++) {
      if (attempt > 0) await machine.runUntil(isEnded, PAUSE)
      const isFree = (broker.queue(queue)?.ready ?? 0) > 0
      const messages = isFree && !isEnded() ? await browseAll(world, broker, queue) : []
      if (isEnded() || world.reference.damaged || messages === undefined) return
      left = wanted(world, queue, messages)
    }
    if (left !== undefined)
      throw new Violation('selection', `${left} lies ready in ${queue}, and a consumer waits for it`)
    report.count('idleQueues')
  }
}

function wanted(world: World, queue: string, messages: readonly BrowsedMessage[]): string | undefined {
  const present = world.attendance.of(queue)
  const active = world.attendance.activeOf(queue)
  const sent = (format: number): SentMessage => world.reference.messages.get(format)!
  const busy = new Set<string>()
  for (const { format, state } of messages) {
    const message = sent(format)
    const isRefused = present.some((attendant) => !attendant.wants(message))
    if (state !== 'ready' || isRefused) busy.add(message.group)
  }
  for (const { format, state } of messages) {
    const message = sent(format)
    const { group } = message
    if (state !== 'ready' || (group !== '' && (present.length > 1 || busy.has(group)))) continue
    const isWanted = present.some(
      (attendant) => (queue !== SOLO || attendant === active) && attendant.wants(message),
    )
    if (isWanted) return message.id
  }
  return undefined
}
