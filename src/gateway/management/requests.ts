import type { Engine } from '../../engine/api.ts'
import { TOPIC_EXCHANGE } from '../../model/destination.ts'
import { MillraceError } from '../../model/errors.ts'
import type { Operation } from '../permissions.ts'
import type { Arguments } from './arguments.ts'
import { durable } from './durable.ts'
import type { MoveChoice, Operations } from './operations.ts'
import { ensureSubscription, subscribedInterest, subscriptionQueue } from './subscriptions.ts'

/** Messages of one page, when the request does not say how many. */
const PAGE = 100

/** Who asks, and of what. */
export interface Caller {
  readonly engine: Engine
  readonly operations: Operations
  /** '' for a client that has none. */
  readonly clientId: string
  permits(operation: Operation, kind: 'queue' | 'topic', name: string): boolean
  /** Throws `not-permitted`. */
  assertPermitted(operation: Operation, kind: 'queue' | 'topic', name: string): void
  /** Messages as they would be delivered, and the position of the next page. */
  page(queue: string, after: string, limit: number, selector?: string): Promise<unknown>
}

type Handler = (caller: Caller, given: Arguments) => Promise<unknown>

/** The operations of the management node (docs/spec/amqp.md), by their names. */
const handlers: Readonly<Record<string, Handler>> = {
  async queues({ operations, permits }) {
    return (await operations.queues()).filter(({ name }) => permits('browse', 'queue', name))
  },
  async queue({ operations, assertPermitted }, given) {
    const name = given.text('queue')
    assertPermitted('browse', 'queue', name)
    const report = (await operations.queues()).find((queue) => queue.name === name)
    if (report) return report
    throw new MillraceError('destination-not-found', `queue ${JSON.stringify(name)} does not exist`)
  },
  async topics({ operations, permits }) {
    return (await operations.topics()).filter(({ name }) => permits('receive', 'topic', name))
  },
  async connections({ operations, assertPermitted }) {
    assertPermitted('manage', 'queue', '')
    return operations.connections()
  },
  async statistics({ engine, operations, assertPermitted }) {
    assertPermitted('manage', 'queue', '')
    const queues = engine.queues()
    const sum = (count: (queue: (typeof queues)[number]) => number): number =>
      queues.reduce((total, queue) => total + count(queue), 0)
    return {
      queues: queues.length,
      connections: (await operations.connections()).length,
      messages: sum(({ messages }) => messages),
      bytes: sum(({ bytes }) => bytes),
      published: sum(({ published }) => published),
      delivered: sum(({ delivered }) => delivered),
      store: engine.store(),
    }
  },
  async declare({ engine, assertPermitted }, given) {
    const name = given.text('queue')
    assertPermitted('create', 'queue', name)
    const definition = engine.declareQueue({ name, policy: given.policy('policy') })
    await durable(engine)
    return definition
  },
  async delete({ operations, assertPermitted }, given) {
    const name = given.text('queue')
    assertPermitted('delete', 'queue', name)
    return operations.delete(name)
  },
  async purge({ operations, assertPermitted }, given) {
    const name = given.text('queue')
    assertPermitted('manage', 'queue', name)
    return operations.purge(name, { selector: given.optionalText('selector') })
  },
  async move({ operations, assertPermitted }, given) {
    const [from, to] = [given.text('from'), given.text('to')]
    assertPermitted('manage', 'queue', from)
    assertPermitted('manage', 'queue', to)
    return operations.move(from, to, choice(given))
  },
  async redrive({ operations, assertPermitted }, given) {
    const name = given.text('queue')
    assertPermitted('manage', 'queue', name)
    return operations.redrive(name, choice(given))
  },
  async scheduled({ operations, permits, assertPermitted }, given) {
    const queue = given.optionalText('queue')
    if (queue !== undefined) assertPermitted('browse', 'queue', queue)
    const { messages, next } = await operations.scheduled(
      queue,
      given.optionalText('after'),
      given.number('limit'),
    )
    const visible = messages.filter(({ queues }) => queues.every((name) => permits('browse', 'queue', name)))
    return { messages: visible, next }
  },
  async cancel({ operations, assertPermitted }, given) {
    const id = given.text('scheduleId')
    for (const { queue, state } of await operations.locate(id)) {
      if (state === 'scheduled') assertPermitted('manage', 'queue', queue)
    }
    return operations.cancel(id)
  },
  async cancelAll({ operations, assertPermitted }, given) {
    const name = given.text('queue')
    assertPermitted('manage', 'queue', name)
    return operations.cancelAll(name)
  },
  async browse({ page, assertPermitted }, given) {
    const name = given.text('queue')
    assertPermitted('browse', 'queue', name)
    const [after, selector] = [given.optionalText('after') ?? '', given.optionalText('selector')]
    return page(name, after, given.number('limit') ?? PAGE, selector)
  },
  async why({ operations, permits }, given) {
    const locations = await operations.locate(given.text('brokerId'))
    return locations.filter(({ queue }) => permits('browse', 'queue', queue))
  },
  async prepared({ operations, assertPermitted }) {
    assertPermitted('manage', 'queue', '')
    return operations.prepared()
  },
  async decide({ engine, operations, permits, assertPermitted }, given) {
    const [id, decision] = [given.text('id'), given.text('decision')]
    if (decision !== 'commit' && decision !== 'rollback')
      throw new MillraceError('argument-invalid', 'a decision is commit or rollback')
    // Who may send there may take back what was sent, as its sender; who manages the queues, in their place.
    const half = engine.prepared().find((other) => other.id === id)
    const isManager = half?.queues.every((name) => permits('manage', 'queue', name))
    if (half && !isManager)
      assertPermitted('send', half.exchange === TOPIC_EXCHANGE ? 'topic' : 'queue', half.key)
    return operations.decide(id, decision)
  },
  async subscribe({ engine, clientId, assertPermitted }, given) {
    const [name, topic] = [given.text('name'), given.text('topic')]
    assertPermitted('receive', 'topic', topic)
    const subscription = { clientId, name, shared: given.flag('shared') }
    const noLocal = given.flag('noLocal')
    if (noLocal && (subscription.shared || clientId === ''))
      throw new MillraceError(
        'argument-invalid',
        'only a subscription of one client passes over what it sends',
      )
    const interest = {
      topic,
      selector: given.optionalText('selector'),
      noLocal: noLocal ? clientId : undefined,
    }
    const queue = ensureSubscription(engine, subscription, interest, { policy: given.policy('policy') })
    await durable(engine)
    return queue
  },
  async unsubscribe({ engine, clientId, assertPermitted }, given) {
    const queue = subscriptionQueue({ clientId, name: given.text('name'), shared: given.flag('shared') })
    const interest = subscribedInterest(engine, queue)
    if (interest !== undefined) assertPermitted('receive', 'topic', interest.topic)
    return new Promise((resolve) => engine.deleteQueue(queue, { ifUnused: true }, resolve))
  },
}

/** Which messages of a queue are meant. */
function choice(given: Arguments): MoveChoice {
  return {
    limit: given.number('limit'),
    selector: given.optionalText('selector'),
    brokerId: given.optionalText('brokerId'),
    rate: given.number('rate'),
  }
}

/**
 * Does what a request to the management node asks for, and answers with plain data. Rejects with `unsupported` for an unknown
 * operation, `argument-invalid`, `not-permitted`, and what the operation itself rejects with.
 */
export async function perform(caller: Caller, operation: string, given: Arguments): Promise<unknown> {
  const name = operation === 'create' ? 'declare' : operation
  if (Object.hasOwn(handlers, name)) return handlers[name]!(caller, given)
  throw new MillraceError(
    'unsupported',
    `there is no operation ${JSON.stringify(operation)}; there are ${Object.keys(handlers).join(', ')}`,
  )
}
