import type { Engine } from '../../engine/api.ts'
import { TEMPORARY_QUEUE, TEMPORARY_TOPIC } from '../../model/destination.ts'
import { MillraceError } from '../../model/errors.ts'
import type { Fields } from '../../wire/amqp10/peer/performatives.ts'
import { Described } from '../../wire/amqp10/values.ts'
import { ensureVolatile } from '../management/subscriptions.ts'
import { kindOf } from './address.ts'
import type { AmqpConnection } from './connection.ts'

const DELETE_ON_CLOSE = 0x2bn

/** The only lifetime that dynamic nodes have here: that of the link which made them (core 3.5.10). */
export const deleteOnClose: Fields = new Map([['lifetime-policy', new Described(DELETE_ON_CLOSE, [])]])

/** Property of an attach: the address that the temporary destination had on the client's last connection, a string. */
export const ADDRESS_KEY = 'millrace:address'

/**
 * A destination that ends with its link. It gets the address `wanted` when that is one of ours and nobody has it. `received`: the link takes from it, so that a topic needs its subscription too.
 * Answers its address, and the queue behind it, '' for a topic that others subscribe to.
 */
export function createTemporary(
  connection: AmqpConnection,
  capabilities: readonly string[],
  received: boolean,
  wanted?: unknown,
  selector?: string,
): { readonly address: string; readonly queue: string } {
  const { engine, gateway } = connection
  const kept = typeof wanted === 'string' ? /^temp-(queue|topic):([0-9a-f]{32})$/.exec(wanted) : null
  const unique = kept && kept[1] === (kindOf(capabilities) ?? 'queue') ? kept[2]! : gateway.uniqueName()
  if (kindOf(capabilities) === 'topic') {
    const address = TEMPORARY_TOPIC + unique
    const interest = { topic: address, selector }
    return { address, queue: received ? ensureVolatile(engine, `volatile:${unique}`, interest) : '' }
  }
  const name = TEMPORARY_QUEUE + unique
  // What it holds ends with the connection, and so do its dead letters.
  const policy = { deadLetter: undefined }
  if (engine.queue(name)) throw new MillraceError('destination-in-use', `${name} belongs to a connection`)
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
