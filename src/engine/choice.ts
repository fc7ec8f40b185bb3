import type { Consumer } from './consumer.ts'
import { isClear } from './selective/row.ts'

/** Consumers that compete for the same messages, higher priorities first, and whose turn it is among them. */
export interface Rotation {
  readonly consumers: readonly Consumer[]
  turn: number
}

/** Who gets the message: null when nobody has credit, undefined when nobody with credit takes this message. */
export function choose(rotation: Rotation, lsn: number): Consumer | null | undefined {
  const { consumers } = rotation
  if (consumers.length > 1 && consumers[0]!.priority !== consumers[consumers.length - 1]!.priority)
    return chooseByPriority(consumers, lsn)
  let anyHungry = false
  for (let i = 0; i < consumers.length; i++) {
    const at = (rotation.turn + i) % consumers.length
    const consumer = consumers[at]!
    if (!consumer.hungry) continue
    anyHungry = true
    if (consumer.excluded?.has(lsn)) continue
    rotation.turn = at + 1
    return consumer
  }
  return anyHungry ? undefined : null
}

/** The highest priority that takes it; among equals, who has waited longest. */
function chooseByPriority(consumers: readonly Consumer[], lsn: number): Consumer | null | undefined {
  let anyHungry = false
  let best: Consumer | undefined
  let latest = 0
  for (const consumer of consumers) {
    if (best !== undefined && consumer.priority < best.priority) break
    latest = Math.max(latest, consumer.served)
    if (!consumer.hungry) continue
    anyHungry = true
    if (consumer.excluded?.has(lsn)) continue
    if (best === undefined || consumer.served < best.served) best = consumer
  }
  if (best !== undefined) best.served = latest + 1
  return best ?? (anyHungry ? undefined : null)
}

/** To whom a message group goes that `candidate` could have: the one with the fewest groups among those of its priority that
 * need not get something else before. */
export function chooseOwner(rotation: Rotation, candidate: Consumer, lsn: number): Consumer {
  let chosen = candidate
  for (const consumer of rotation.consumers) {
    const isEqual =
      consumer.priority === candidate.priority && consumer.hungry && !consumer.excluded?.has(lsn)
    if (isEqual && consumer.groups < chosen.groups && isClear(consumer.own)) chosen = consumer
  }
  return chosen
}
