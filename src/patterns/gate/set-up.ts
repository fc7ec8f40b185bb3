import type { Context } from '../../client/context.ts'
import { isMillraceError, MillraceError } from '../../model/errors.ts'
import { Lock } from '../lock/lock.ts'
import { ASKER, FOUNDER, type GateQueues } from './queues.ts'

/** Places on their way to the broker at once. */
const AT_ONCE = 1_000

/** It has been set up meanwhile. */
class SetUpBefore extends Error {}

/**
 * Makes sure that the gate has been set up, once, with so many places. All of them, and the entry that says so, are one
 * transaction, which ends with the connection as the lock does: whoever has lost the lock cannot commit it. Rejects with
 * `destination-conflict` when it has another number of places.
 */
export async function setUp(mq: Context, queues: GateQueues, places: number): Promise<void> {
  await mq.declare(queues.places)
  await mq.declare(queues.register)
  const lock = new Lock(mq, `gate.${queues.name}`)
  let found = await placesOf(mq, queues)
  while (found === undefined) {
    await lock.run(({ signal }) => fill(mq, queues, places, signal))
    found = await placesOf(mq, queues)
  }
  if (found === places) return
  throw new MillraceError(
    'destination-conflict',
    `the gate ${queues.name} was set up with ${found} places, not with ${places}; to set it up anew, delete the queues ${queues.places.name} and ${queues.register.name}`,
  )
}

/** With how many it was set up; undefined: it was not. */
async function placesOf(mq: Context, { register }: GateQueues): Promise<number | undefined> {
  for await (const { body } of mq.browse(register, { selector: `${ASKER} = '${FOUNDER}'` }))
    return body.places
  return undefined
}

async function fill(mq: Context, queues: GateQueues, places: number, signal: AbortSignal): Promise<void> {
  try {
    await mq.transaction(async (tx) => {
      await tx.send(queues.places, { number: 1 })
      // On the connection of the lock, if that is not lost; from here on both are lost together.
      signal.throwIfAborted()
      if ((await placesOf(mq, queues)) !== undefined) throw new SetUpBefore()
      for (let number = 2; number <= places; number += AT_ONCE) {
        const count = Math.min(AT_ONCE, places - number + 1)
        await Promise.all(
          Array.from({ length: count }, (_, i) => tx.send(queues.places, { number: number + i })),
        )
      }
      await tx.send(queues.register, { places }, { properties: { [ASKER]: FOUNDER } })
    })
  } catch (error) {
    if (error instanceof SetUpBefore) return
    // With the connection; whether it was committed before, the register says.
    if (signal.aborted || (isMillraceError(error) && error.code === 'connection-lost')) return
    throw error
  }
}
