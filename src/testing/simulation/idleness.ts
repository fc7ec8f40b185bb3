import type { Broker } from '../../engine/broker.ts'
import { SOLO } from './plan.ts'
import { browseAll, type Shown, type Stock } from './stock.ts'
import { Violation } from './violation.ts'
import type { World } from './world.ts'

/** Virtual milliseconds between two looks. */
const PAUSE = 50
const ATTEMPTS = 40

/**
 * While nobody does anything, what lies ready and a present consumer with credit wants comes to it. Of the members of a
 * group that is only said where there is one consumer, and nothing of the group is on its way: whose they are otherwise
 * is the broker's business. `stock` is the first look.
 */
export async function checkIdleness(world: World, broker: Broker, stock: Stock): Promise<void> {
  const { plan, report } = world
  for (const queue of plan.queues.flatMap(({ name }) => [name, `${name}.dlq`])) {
    if (world.attendance.of(queue).length === 0) continue
    let left = wanted(world, queue, stock.shown.get(queue) ?? [])
    for (let attempt = 1; left !== undefined && attempt < ATTEMPTS; attempt++) {
      const shown = await lookAgain(world, broker, queue)
      if (shown === undefined || world.reference.damaged) return
      left = wanted(world, queue, shown)
    }
    if (left !== undefined)
      throw new Violation('selection', `${left} lies ready in ${queue}, and a consumer waits for it`)
    report.count('idleQueues')
  }
}

/** Undefined: the broker has ended. */
async function lookAgain(world: World, broker: Broker, queue: string): Promise<Shown[] | undefined> {
  const { machine } = world
  const isEnded = (): boolean => machine.broker !== broker || world.failing
  await machine.runUntil(isEnded, PAUSE)
  if (isEnded()) return undefined
  const messages = await browseAll(world, broker, queue)
  if (isEnded()) return undefined
  return messages?.map((message) => ({ copy: world.identify(message), state: message.state }))
}

function wanted(world: World, queue: string, shown: readonly Shown[]): string | undefined {
  const present = world.attendance.of(queue)
  const busy = new Set<string>()
  for (const { copy, state } of shown) {
    const { message } = copy
    const isRefused = present.some((attendant) => !attendant.wants(message))
    if (state !== 'ready' || isRefused) busy.add(message.group)
  }
  for (const { copy, state } of shown) {
    const { message } = copy
    const { group } = message
    if (state !== 'ready' || (group !== '' && (present.length > 1 || busy.has(group)))) continue
    const isWanted = present.some(
      (attendant) =>
        (queue !== SOLO || world.attendance.isActive(queue, attendant)) && attendant.wants(message),
    )
    if (isWanted) return message.id
  }
  return undefined
}
