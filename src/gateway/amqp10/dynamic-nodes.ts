import type { Engine } from '../../engine/api.ts'
import { TEMPORARY_QUEUE, TEMPORARY_TOPIC } from '../../model/destination.ts'
import type { Fields } from '../../wire/amqp10/peer/performatives.ts'
import { Described } from '../../wire/amqp10/values.ts'
import { ensureVolatile } from '../management/subscriptions.ts'
import { kindOf } from './address.ts'
import type { AmqpConnection } from './connection.ts'

const DELETE_ON_CLOSE = 0x2bn

/** The only lifetime that dynamic nodes have here: that of the link which made them (core 3.5.10). */
export const deleteOnClose: Fields = new Map([['lifetime-policy', new Described(DELETE_ON_CLOSE, [])]])

/**
 * A destination that ends with its link. `received`: the link takes from it, so that a topic needs its subscription too.
 * Answers its address, and the queue behind it, '' for a topic that others subscribe to.
 */
export function createTemporary(
  connection: AmqpConnection,
  capabilities: readonly string[],
  received: boolean,
): { readonly address: string; readonly queue: string } {
  const { engine, gateway } = connection
  const unique = gateway.uniqueName()
  if (kindOf(capabilities) === 'topic') {
    const address = TEMPORARY_TOPIC + unique
    return { address, queue: received ? ensureVolatile(engine, `volatile:${unique}`, address) : '' }
  }
  const name = TEMPORARY_QUEUE + unique
  // What it holds ends with the connection, and so do its dead letters.
  const policy = { deadLetter: undefined }
  engine.declareQueue(
    { name, lifetime: { kind: 'connection' }, durability: 'memory', policy },
    connection.number,
  )
  return { address: name, queue: name }
}

/** It may have gone already, with its connection or its last consumer. */
export function deleteTemporary(engine: Engine, queue: string): void {
  if (queue !== '' && engine.queue(queue)) engine.deleteQueue(queue, {}, () => {})
}
