import type { Consumer } from './consumer.ts'

/** Consumers that compete for the same messages, and whose turn it is among them. */
export interface Rotation {
  readonly consumers: readonly Consumer[]
  turn: number
}

/** Who gets the message: null when nobody has credit, undefined when nobody with credit takes this message. */
export function choose(rotation: Rotation, lsn: number): Consumer | null | undefined {
  const { consumers } = rotation
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
