/**
 * Millrace: a durable message broker for TypeScript. Import it, run it, or point the same code at the engine you have.
 */
import { amqp } from './client/amqp/registration.ts'
import { registerProvider } from './client/connect.ts'
import { embedded } from './embedded/provider.ts'

registerProvider(embedded())
registerProvider(amqp)

export type { BodyKind } from './client/bodies.ts'
export { type BrowseOptions, QueueBrowser } from './client/browser.ts'
export type { Clock } from './client/clock.ts'
export { ConnectionFactory, type ConnectOptions, connect, registerProvider } from './client/connect.ts'
export { Connection, type ConnectionEvents, type ConnectionOptions } from './client/connection.ts'
export { MessageConsumer, type MessageListener } from './client/consumer.ts'
export type { ConsumerOptions, ReceiveOptions } from './client/consumer-options.ts'
export { Context, type Dependant } from './client/context.ts'
export {
  type Composite,
  composite,
  type Queue,
  type QueueOptions,
  queue,
  type Receivable,
  type Sendable,
  type Subscription,
  type Topic,
  type TopicOptions,
  type TypedDestination,
  topic,
} from './client/destinations.ts'
export { Feed, type FeedListener } from './client/feed.ts'
export { BrowsedMessage, Message, type RetryOptions } from './client/message.ts'
export type { SendOptions } from './client/outgoing.ts'
export type { PolicyOptions } from './client/policy.ts'
export { type CheckHandler, Checks, type Decision, HalfMessage, PreparedMessage } from './client/prepared.ts'
export { MessageProducer, type PrepareOptions, type ProducerOptions } from './client/producer.ts'
export { type Conversions, convert } from './client/properties.ts'
export type * from './client/provider.ts'
export type { RequestOptions, RequestStatistics } from './client/requester.ts'
export type { Responder } from './client/responder.ts'
export { type AcknowledgeMode, Session, type SessionOptions } from './client/session.ts'
export type { StandardIssue, StandardResult, StandardSchema } from './client/standard-schema.ts'
export type { SubscribeOptions } from './client/subscriptions.ts'
export { typed } from './client/typed.ts'
export {
  type CloseOptions,
  type Handler,
  type HandlerContext,
  Worker,
  type WorkerOptions,
} from './client/worker.ts'
export {
  type DirectoryInspection,
  type InspectedSegment,
  inspectDirectory,
  type JournalTrace,
  traceMessage,
} from './embedded/inspection.ts'
export type { EmbeddedOptions } from './embedded/opening.ts'
export { embedded } from './embedded/provider.ts'
export type { DeadLetterReason, Durability, Outcome } from './model/delivery.ts'
export type { Destination, DestinationKind } from './model/destination.ts'
export { type Duration, milliseconds } from './model/duration.ts'
export { type ErrorCode, errorCatalogue, isMillraceError, MillraceError } from './model/errors.ts'
export type {
  Body,
  MessageContent,
  PropertyValue,
  ReceivedContent,
  SentValue,
  TypedValue,
  TypeName,
} from './model/message.ts'
export type { Overflow, QueuePolicy } from './model/policy.ts'
