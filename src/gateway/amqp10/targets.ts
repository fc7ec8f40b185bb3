import { type Destination, isTopic } from '../../model/destination.ts'
import { MillraceError } from '../../model/errors.ts'
import type { Attach, Target } from '../../wire/amqp10/peer/performatives.ts'
import type { ReceiverLink } from '../../wire/amqp10/peer/receiver-link.ts'
import { Typed } from '../../wire/amqp10/values.ts'
import { MANAGEMENT_ADDRESS, resolveAddress, resolveTargets } from './address.ts'
import type { AmqpConnection } from './connection.ts'
import { CoordinatorLink } from './coordinator-link.ts'
import { ADDRESS_KEY, createTemporary, deleteOnClose, deleteTemporary } from './dynamic-nodes.ts'
import { type Identity, IncomingLink } from './incoming-link.ts'
import { ManagementLink } from './management-link.ts'
import { Relay } from './relay.ts'
import { type Route, routeTo } from './route.ts'

/** Property of an attach: the identity under which the sender's messages are stored once, a string. */
const PRODUCER_KEY = 'millrace:producer-id'
/** Property of our answer: the highest sequence stored under that identity, a ulong. */
const SEQUENCE_KEY = 'millrace:last-sequence'

/** A client attaches as sender: finds where it wants to send to. Throws what it is refused with. */
export function attachTarget(connection: AmqpConnection, link: ReceiverLink, attach: Attach): void {
  const { target } = attach
  if (target !== null && 'coordinator' in target) return CoordinatorLink.attach(connection, link, attach)
  if (target?.dynamic) return dynamicTarget(connection, link, attach, target)
  const address = target?.address ?? null
  if (address === null) return take(connection, link, attach, new Relay(connection), {})
  if (address === MANAGEMENT_ADDRESS) {
    link.events = new ManagementLink(connection, link)
    return link.accept({
      rcvSettleMode: 'first',
      target: answer(target!, {}),
      maxMessageSize: ManagementLink.maxMessageSize,
    })
  }
  take(connection, link, attach, fixedRoute(connection, target!, address), answer(target!, {}))
}

function fixedRoute(connection: AmqpConnection, target: Target, address: string): Route {
  const { gateway } = connection
  const targets = resolveTargets(address, target.capabilities, (name) => gateway.kindOf(name))
  for (const destination of targets) prepareTarget(connection, destination)
  return routeTo(...targets)
}

/** Throws what the sender is refused with. */
function prepareTarget(connection: AmqpConnection, destination: Destination): void {
  const { engine } = connection
  const { kind, name } = destination
  if (kind === 'queue' || kind === 'topic') connection.assertPermitted('send', kind, name)
  if (!isTopic(destination) && !engine.queue(name)) {
    if (kind === 'queue') connection.assertPermitted('create', 'queue', name)
    // Brought into being as by a consumer, if its name allows that.
    const consumer = engine.consume(connection.number, { queue: name, create: kind === 'queue' })
    engine.cancel(consumer, { release: true })
  }
}

function dynamicTarget(connection: AmqpConnection, link: ReceiverLink, attach: Attach, target: Target): void {
  const wanted = attach.properties.get(ADDRESS_KEY)
  const { address, queue } = createTemporary(connection, target.capabilities, false, wanted)
  const destination = resolveAddress(address, [], () => 'queue')
  const actual = { address, dynamic: true, dynamicNodeProperties: deleteOnClose }
  take(connection, link, attach, routeTo(destination), answer(target, actual), () =>
    deleteTemporary(connection.engine, queue),
  )
}

function take(
  connection: AmqpConnection,
  link: ReceiverLink,
  attach: Attach,
  destination: Route | Relay,
  target: Partial<Target>,
  left?: () => void,
): void {
  const identity = identityOf(connection, attach)
  const incoming = new IncomingLink({ connection, link, attach, destination, identity, left })
  link.events = incoming
  link.accept({
    maxMessageSize: connection.gateway.limits.maxMessageBytes,
    properties: identity
      ? new Map([[SEQUENCE_KEY, new Typed('ulong', identity.lastSequence)]])
      : new Map<string, unknown>(),
    ...(attach.target === null ? {} : { target: { ...(attach.target as Target), ...target } }),
  })
  incoming.replenish()
}

function identityOf(connection: AmqpConnection, attach: Attach): Identity | undefined {
  const id = attach.properties.get(PRODUCER_KEY)
  if (id === undefined || id === null) return undefined
  if (typeof id !== 'string' || id === '')
    throw new MillraceError('argument-invalid', `${PRODUCER_KEY} is a string that is not empty`)
  return connection.engine.openProducer(connection.number, id)
}

function answer(asked: Target, actual: Partial<Target>): Target {
  const capabilities = ['queue', 'topic', 'temporary-queue', 'temporary-topic']
  return {
    ...asked,
    dynamicNodeProperties: undefined,
    capabilities: asked.capabilities.filter((capability) => capabilities.includes(capability)),
    ...actual,
  }
}
