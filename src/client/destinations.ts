import {
  type CompositeDestination,
  compositeAddress,
  type Destination,
  type DestinationKind,
  MAX_MEMBERS,
} from '../model/destination.ts'
import { MillraceError } from '../model/errors.ts'
import type { QueuePolicy } from '../model/policy.ts'
import { type PolicyOptions, resolvePolicy } from './policy.ts'
import type { StandardSchema } from './standard-schema.ts'

/** Carries the types of bodies; never present at run time. */
declare const bodies: unique symbol

/**
 * A destination that knows the type of its bodies: `Input` is what is sent, `Output` what is received. They differ only
 * with a schema that transforms. A plain `Destination`, such as a received reply-to, is one of unknown bodies.
 */
export interface TypedDestination<Input = unknown, Output = unknown> extends Destination {
  readonly schema?: StandardSchema<unknown, Output> | undefined
  /** Declared with the broker before the first use. */
  readonly policy?: Partial<QueuePolicy> | undefined
  readonly [bodies]?: { input: (body: Input) => void; output: Output }
}

export interface Queue<Input = unknown, Output = Input> extends TypedDestination<Input, Output> {
  readonly kind: 'queue' | 'temporary-queue'
}

export interface Topic<Input = unknown, Output = Input> extends TypedDestination<Input, Output> {
  readonly kind: 'topic' | 'temporary-topic'
}

/** Several queues and topics for one message: a place to send to, and nothing else. */
export interface Composite<Input = unknown> extends CompositeDestination {
  readonly members: readonly TypedDestination<Input>[]
  readonly [bodies]?: { input: (body: Input) => void }
}

/** What can be sent to. */
export type Sendable<Input = unknown> = TypedDestination<Input> | Composite<Input>

export interface QueueOptions<Input, Output> {
  /** Checked when a body is sent and when it is received; an invalid one received is dead-lettered at once. */
  readonly body?: StandardSchema<Input, Output> | undefined
  readonly policy?: PolicyOptions | undefined
}

export interface TopicOptions<Input, Output> {
  readonly body?: StandardSchema<Input, Output> | undefined
}

/** A queue, named and typed; nothing is created before it is used. Throws `destination-invalid`, `argument-invalid`. */
export function queue<Input = unknown, Output = Input>(
  name: string,
  options: QueueOptions<Input, Output> = {},
): Queue<Input, Output> {
  const policy = options.policy && resolvePolicy(options.policy)
  return make('queue', name, options.body, policy) as Queue<Input, Output>
}

/**
 * A topic, named and typed. Levels are separated by dots; to receive, '*' stands for one level and '#' for any number.
 * Throws `destination-invalid`.
 */
export function topic<Input = unknown, Output = Input>(
  name: string,
  options: TopicOptions<Input, Output> = {},
): Topic<Input, Output> {
  return make('topic', name, options.body, undefined) as Topic<Input, Output>
}

/**
 * Two to 64 queues and topics: what is sent to them is stored in all, or in none when one of them refuses it. A body has to
 * fit each schema. Temporary ones cannot be among them, nor names with a comma. Throws `destination-invalid`.
 */
export function composite<Input = unknown>(
  ...members: readonly (Queue<Input, unknown> | Topic<Input, unknown>)[]
): Composite<Input> {
  if (members.length < 2 || members.length > MAX_MEMBERS)
    throw new MillraceError(
      'destination-invalid',
      `a composite has 2 to ${MAX_MEMBERS} destinations, not ${members.length}`,
    )
  for (const member of members) {
    assertDestination(member)
    const { kind, name } = member
    if ((kind === 'queue' || kind === 'topic') && !name.includes(',')) continue
    throw new MillraceError(
      'destination-invalid',
      `a composite is of queues and topics without comma in their names; the ${kind} ${JSON.stringify(name)} is none`,
    )
  }
  const kept = Object.freeze([...members])
  return Object.freeze({ kind: 'composite', name: compositeAddress(kept), members: kept })
}

function make(
  kind: DestinationKind,
  name: string,
  schema: StandardSchema | undefined,
  policy: Partial<QueuePolicy> | undefined,
): TypedDestination {
  if (typeof name !== 'string' || name === '' || Buffer.byteLength(name) > MAX_NAME_BYTES) {
    throw new MillraceError(
      'destination-invalid',
      `the name of a ${kind} is a text of 1 to ${MAX_NAME_BYTES} bytes, not ${quoted(name)}`,
    )
  }
  return Object.freeze({ kind, name, schema, policy })
}

const kinds: ReadonlySet<unknown> = new Set<DestinationKind>([
  'queue',
  'topic',
  'temporary-queue',
  'temporary-topic',
])

/** Whether it is a queue or topic at all: programs without types may give anything. */
export function isDestination(value: unknown): value is Destination {
  const { kind, name } = (value ?? {}) as { kind?: unknown; name?: unknown }
  return kinds.has(kind) && typeof name === 'string'
}

/** Throws `destination-invalid`. */
export function assertSendable(value: unknown): asserts value is Sendable<never> {
  const { kind, members } = (value ?? {}) as Partial<Composite>
  if (kind !== 'composite' || !Array.isArray(members)) assertDestination(value)
}

/** Throws `destination-invalid`. */
function assertDestination(value: unknown): asserts value is Destination {
  if (isDestination(value)) return
  throw new MillraceError(
    'destination-invalid',
    `a destination is made by queue(name) or topic(name), it is not ${quoted(value)}`,
  )
}

/** What somebody gave, for a message that refuses it: short, whatever it is. */
export function quoted(value: unknown): string {
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value)
  return text.length <= MAX_QUOTED ? text : `${text.slice(0, MAX_QUOTED)}…`
}

const MAX_QUOTED = 60

/** Names go over the wire as short strings in every protocol. */
export const MAX_NAME_BYTES = 255

/** A durable subscription: messages of its topic are kept for it whether or not somebody consumes. */
export interface Subscription<Output = unknown> {
  readonly kind: 'subscription'
  readonly name: string
  readonly topic: string
  /** Whether several consumers may compete for its messages. */
  readonly shared: boolean
  readonly schema?: StandardSchema<unknown, Output> | undefined
  readonly [bodies]?: { output: Output }
}

/** What messages can be received from. A topic gives a subscription that ends with its consumer. */
export type Receivable<Output = unknown> = Queue<never, Output> | Topic<never, Output> | Subscription<Output>
