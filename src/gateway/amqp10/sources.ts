import { isTopic } from '../../model/destination.ts'
import { MillraceError } from '../../model/errors.ts'
import type { Attach, Source } from '../../wire/amqp10/peer/performatives.ts'
import type { SenderLink } from '../../wire/amqp10/peer/sender-link.ts'
import { PREPARED_ADDRESS, resolveAddress } from './address.ts'
import { BrowsingLink } from './browsing-link.ts'
import type { AmqpConnection } from './connection.ts'
import { createTemporary, deleteOnClose, deleteTemporary } from './dynamic-nodes.ts'
import { Filters } from './filters.ts'
import { MILLRACE } from './opening.ts'
import { OutgoingLink } from './outgoing-link.ts'
import { lookUp, subscriptionNode } from './subscription-sources.ts'

/** What a receiver's link takes from. */
export interface SourceNode {
  readonly queue: string
  /** The queue may be brought into being by its policy. */
  readonly create: boolean
  readonly exclusive: boolean
  /** Of a queue's messages this consumer takes only those; others take the rest. */
  readonly selector?: string | undefined
  /** The source as it is, for our answer. */
  readonly source: Partial<Source>
  /** Deliveries are taken back from a consumer that keeps them too long. */
  readonly lapses: boolean
  /** Only one link at a time is the subscriber: a later one steals it. */
  readonly stealable: boolean
  /** Its subscription outlives everybody: it is not said to be there before it is durable. */
  readonly durable?: boolean | undefined
  /** The link has ended; `closed`: for good. */
  readonly left?: ((closed: boolean) => void) | undefined
}

/** Limit of unsettled bytes that a receiver may set for its link, a ulong. */
const MAX_BYTES_KEY = 'millrace:max-bytes'

/** Priority of the receiver among those of its queue; also by the name that RabbitMQ has for it. */
const PRIORITY_KEY = 'millrace:priority'
const RABBITMQ_PRIORITY_KEY = 'rabbitmq:priority'

const outcomes = ['amqp:accepted:list', 'amqp:rejected:list', 'amqp:released:list', 'amqp:modified:list']
const known = ['queue', 'topic', 'temporary-queue', 'temporary-topic', 'shared', 'global']

/** A client attaches as receiver: finds what it wants to receive from. Throws what it is refused with. */
export function attachSource(connection: AmqpConnection, link: SenderLink, attach: Attach): void {
  const { source } = attach
  if (source === null) return lookUp(connection, link, attach)
  const filters = new Filters(source)
  if (source.dynamic) return serve(connection, link, attach, dynamicNode(connection, source, filters))
  const address = source.address ?? ''
  if (address.startsWith(PREPARED_ADDRESS)) return attachChecks(connection, link, attach)
  const { engine, gateway } = connection
  const destination = resolveAddress(address, source.capabilities, (name) => gateway.kindOf(name))
  if (isTopic(destination)) {
    return serve(connection, link, attach, subscriptionNode(connection, attach, filters, destination.name))
  }
  const { kind, name } = destination
  const browses = source.distributionMode === 'copy'
  if (kind === 'queue') connection.assertPermitted(browses ? 'browse' : 'receive', 'queue', name)
  if (browses) {
    const { selector } = filters
    const browser = new BrowsingLink(connection, link, attach, { queue: name, selector })
    link.events = browser
    const filter = filters.answer({ noLocal: false })
    return link.accept({ ...offerTo(attach), source: answer(source, { filter }) })
  }
  if (kind === 'queue' && !engine.queue(name)) connection.assertPermitted('create', 'queue', name)
  serve(connection, link, attach, {
    queue: name,
    create: kind === 'queue',
    exclusive: false,
    selector: filters.selector,
    source: { filter: filters.answer({ noLocal: false }) },
    lapses: engine.queue(name)?.definition.policy.deliveryTimeout !== undefined,
    stealable: false,
  })
}

/** A producer offers to say what has become of the half messages of its group. */
function attachChecks(connection: AmqpConnection, link: SenderLink, attach: Attach): void {
  const { address } = attach.source!
  connection.assertPermitted('receive', 'queue', address!)
  link.events = connection.checks.join(link, address!.slice(PREPARED_ADDRESS.length))
  link.accept({
    ...offerTo(attach),
    sndSettleMode: 'unsettled',
    source: answer(attach.source!, {}),
    maxMessageSize: connection.gateway.limits.maxMessageBytes,
  })
}

function serve(connection: AmqpConnection, link: SenderLink, attach: Attach, node: SourceNode): void {
  const { engine, gateway } = connection
  const maxBytes = Number(attach.properties.get(MAX_BYTES_KEY) ?? gateway.limits.unsettledBytes)
  if (!(maxBytes > 0)) throw new MillraceError('argument-invalid', `${MAX_BYTES_KEY} is a positive number`)
  const priority = priorityOf(attach)
  const { queue, create, exclusive, selector } = node
  if (node.stealable) gateway.registry.steal(queue)
  const consumer = engine.consume(connection.number, {
    queue,
    create,
    exclusive,
    selector,
    priority,
    maxBytes,
  })
  const outgoing = new OutgoingLink(connection, link, attach, node, consumer)
  if (node.stealable) gateway.registry.hold(queue, outgoing)
  link.events = outgoing
  const accept = (): void => {
    link.accept({
      ...offerTo(attach),
      sndSettleMode: attach.sndSettleMode === 'settled' ? 'settled' : 'unsettled',
      source: answer(attach.source!, node.source),
      maxMessageSize: gateway.limits.maxMessageBytes,
    })
  }
  if (!node.durable) return accept()
  // When the journal fails, the connection ends.
  engine.whenDurable((error) => connection.guard(() => error ?? accept()))
}

/** Throws `argument-invalid`. */
function priorityOf({ properties }: Attach): number {
  const priority = properties.get(PRIORITY_KEY) ?? properties.get(RABBITMQ_PRIORITY_KEY) ?? 0
  const value = typeof priority === 'number' || typeof priority === 'bigint' ? Number(priority) : Number.NaN
  if (Number.isSafeInteger(value)) return value
  throw new MillraceError('argument-invalid', `${PRIORITY_KEY} is a whole number`)
}

/** A queue or topic of the receiver's own, such as the one for its replies (core 3.5.3, dynamic). */
function dynamicNode(connection: AmqpConnection, source: Source, filters: Filters): SourceNode {
  const { selector } = filters
  const { address, queue } = createTemporary(connection, source.capabilities, true, undefined, selector)
  return {
    queue,
    create: false,
    exclusive: true,
    // A topic's subscription has it already.
    selector: address === queue ? selector : undefined,
    source: {
      address,
      dynamic: true,
      dynamicNodeProperties: deleteOnClose,
      filter: filters.answer({ noLocal: false }),
    },
    lapses: false,
    stealable: false,
    left: () => deleteTemporary(connection.engine, queue),
  }
}

/** Deliveries are annotated for whoever wishes it. */
function offerTo({ desiredCapabilities }: Attach): Partial<Attach> {
  return { offeredCapabilities: desiredCapabilities.includes(MILLRACE) ? [MILLRACE] : [] }
}

/** What of the source the client has got (core 3.5.3): filters that are not applied are not echoed. */
function answer(asked: Source, actual: Partial<Source>): Source {
  return {
    ...asked,
    filter: undefined,
    dynamicNodeProperties: undefined,
    outcomes,
    capabilities: asked.capabilities.filter((capability) => known.includes(capability)),
    ...actual,
  }
}
