/** Patterns for applications: what makes sends certain and effects happen once, on a database of the application's. */
export type {
  Database,
  Executor,
  Row,
  SqlResult,
  SqlValue,
  Transaction,
  TransactionOptions,
} from './database/database.ts'
export { type Dialect, type DialectName, dialects } from './database/dialects.ts'
export {
  type DrizzleDatabase,
  type DrizzleQueryable,
  type DrizzleSql,
  fromDrizzle,
} from './database/drizzle.ts'
export { fromKnex, type KnexDatabase, type KnexQueryable } from './database/knex.ts'
export { fromKysely, type KyselyDatabase, type KyselyQueryable } from './database/kysely.ts'
export { checkSchema, migrate, type Schema } from './database/migrations.ts'
export {
  fromMysql2,
  fromMysql2Connection,
  type Mysql2Options,
  type Mysql2Pool,
  type Mysql2PoolConnection,
  type Mysql2Queryable,
} from './database/mysql2.ts'
export {
  fromPg,
  fromPgClient,
  type PgOptions,
  type PgPool,
  type PgPoolClient,
  type PgQueryable,
} from './database/pg.ts'
export { fromPglite, fromPgliteTransaction, type Pglite, type PgliteQueryable } from './database/pglite.ts'
export {
  fromSqlite,
  fromSqliteTransaction,
  type SqliteConnection,
  type SqliteOptions,
  type SqliteStatement,
  type SqliteTransaction,
} from './database/sqlite.ts'
export { type ConsumerSetting, explainConsumer } from './explain/consumer.ts'
export { type Explanation, explanation, type Sentences } from './explain/explanation.ts'
export { explainProducer, type ProducerSetting } from './explain/producer.ts'
export { Admission } from './gate/admission.ts'
export { type EnterOptions, Gate, type GateOptions, openGate } from './gate/gate.ts'
export {
  type EffectContext,
  type EffectHandler,
  EffectNotDone,
  type EffectOptions,
  type EffectState,
  recorded,
  type WhenUnknown,
} from './inbox/effects.ts'
export {
  type IdempotentContext,
  type IdempotentHandler,
  type IdempotentOptions,
  idempotent,
} from './inbox/idempotent.ts'
export { Inbox, type InboxOptions, type InboxStatistics, openInbox } from './inbox/inbox.ts'
export { inboxSchema } from './inbox/schema.ts'
export { Fence } from './lock/fence.ts'
export { type AcquireOptions, HeldLock, Lock, lock } from './lock/lock.ts'
export type { HalfMessageOptions, OutboxTransaction, PreparedOptions } from './outbox/half-messages.ts'
export { Outbox, type OutboxOptions, type OutboxSendOptions, openOutbox } from './outbox/outbox.ts'
export { type OutboxFailure, Relay, type RelayEvents, type RelayStatistics } from './outbox/relay.ts'
export type { RelayOptions } from './outbox/relay-options.ts'
export type { OutboxEntry, OutboxReport, ResendReport } from './outbox/repair.ts'
export { outboxSchema } from './outbox/schema.ts'
export {
  relayTenants,
  TenantRelay,
  type TenantRelayEvents,
  type TenantRelayOptions,
  type TenantRelayStatistics,
  type Tenants,
} from './outbox/tenants.ts'
export {
  type ErrorClass,
  PermanentError,
  RetryLater,
  type RetryPolicy,
} from './retry/policy.ts'
export { deadLetterQueue, type RedriveOptions, redrive } from './retry/redrive.ts'
export { type Outcomes, type RetryContext, type RetryHandler, retrying } from './retry/retrying.ts'
export type { Decision } from './saga/course.ts'
export type { SagaMessage, SagaPhase } from './saga/message.ts'
export {
  handled,
  Saga,
  type SagaOptions,
  type SagaStart,
  type SagaStatus,
  type SagaStep,
  type StepContext,
  type StepRetry,
  saga,
  type UndoContext,
} from './saga/saga.ts'
export { type SagaEvents, type SagaFailure, SagaWorker, type SagaWorkerOptions } from './saga/worker.ts'
export type { AdaptiveOptions } from './shaping/adaptive-limit.ts'
export type { BreakerOptions, BreakerState } from './shaping/circuit-breaker.ts'
export { type BatchContext, type BatchHandler, batchConsumer, shapedConsumer } from './shaping/consume.ts'
export type { BatchConsumerOptions, BatchOptions, ShapedConsumerOptions } from './shaping/consumer-options.ts'
export { Backpressure, type Pressure, type PressureReason } from './shaping/pressure.ts'
export { ShapedConsumer, type ShapedEvents, type ShapedStatus } from './shaping/shaped-consumer.ts'
export {
  type ProducerEvents,
  type ProducerStatus,
  ShapedProducer,
  type ShapedProducerOptions,
  type ShapedSendOptions,
  shapedProducer,
} from './shaping/shaped-producer.ts'
export type { RateOptions } from './shaping/token-bucket.ts'
