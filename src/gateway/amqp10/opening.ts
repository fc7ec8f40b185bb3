import type { Durability } from '../../model/delivery.ts'
import type { Open } from '../../wire/amqp10/peer/performatives.ts'
import { AmqpSymbol, Typed } from '../../wire/amqp10/values.ts'
import type { AmqpConnection } from './connection.ts'
import type { Enforcement } from './registry.ts'

/** By which our own client knows this broker, and this broker it. */
export const MILLRACE = 'millrace'

/** Subscriptions of the JMS mapping: desired by clients that follow it. */
const SHARED_SUBSCRIPTIONS = 'SHARED-SUBS'
const SOLE_CONNECTION = 'sole-connection-for-container'
const ENFORCEMENT_POLICY = 'sole-connection-enforcement-policy'
const CLOSE_EXISTING = 1

/** Delivery at a time to come, as JMS clients ask for it. */
const DELAYED_DELIVERY = 'DELAYED_DELIVERY'

const offered = ['ANONYMOUS-RELAY', DELAYED_DELIVERY, SHARED_SUBSCRIPTIONS, SOLE_CONNECTION, MILLRACE]

/**
 * Our open in answer to the client's, once its container may be here. Throws `client-id-invalid` when it may not.
 */
export function answerOpen(connection: AmqpConnection, open: Open): Partial<Open> & { containerId: string } {
  const { engine, options, limits, registry } = connection.gateway
  registry.join(open.containerId, connection, enforcementOf(open))
  return {
    containerId: options.containerId,
    offeredCapabilities: offered,
    properties: new Map<string, unknown>([
      ['product', MILLRACE],
      ['version', options.version],
      ['max-message-size', new Typed('ulong', limits.maxMessageBytes)],
      ['millrace:lasting', engine.store().lasting],
    ]),
  }
}

function enforcementOf(open: Open): Enforcement | undefined {
  if (!open.desiredCapabilities.includes(SOLE_CONNECTION)) return undefined
  return open.properties.get(ENFORCEMENT_POLICY) === CLOSE_EXISTING ? 'close-existing' : 'refuse'
}

/**
 * The identity of the client: its container id, except for our own client, which makes one up when it was given none and
 * says that it was given one by asking to be the only connection of its container.
 */
export function clientIdOf(open: Open): string {
  const { containerId, desiredCapabilities } = open
  return desiredCapabilities.includes(MILLRACE) && !desiredCapabilities.includes(SOLE_CONNECTION)
    ? ''
    : containerId
}

/**
 * What it means that a message does not say whether it is durable. JMS clients say so of every persistent message, and leave
 * it out for the others; from everybody else it is more likely that nobody thought of it.
 */
export function unsaidDurabilityOf({ desiredCapabilities }: Open): Durability {
  const jms = desiredCapabilities.includes(SHARED_SUBSCRIPTIONS) && !desiredCapabilities.includes(MILLRACE)
  return jms ? 'memory' : 'disk'
}

/** What the client says it is, for people. */
export function productOf(open: Open | undefined): string {
  const words = ['product', 'version'].map((key) => open?.properties.get(key))
  return words
    .filter((word) => typeof word === 'string' || word instanceof AmqpSymbol)
    .map((word) => String(word).slice(0, 100))
    .join(' ')
}
