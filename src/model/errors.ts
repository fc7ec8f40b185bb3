/**
 * The closed catalogue of errors. Every code has a page in docs/errors/CODE.md (a test holds the two together).
 * Operating errors carry `code`, `retryable` and `cause`; nothing is ever classified by message text.
 */
export const errorCatalogue: Readonly<Record<ErrorCode, { retryable: boolean; summary: string }>> = {
  'argument-invalid': {
    retryable: false,
    summary: 'An argument, option or configuration value is not usable',
  },
  'url-invalid': {
    retryable: false,
    summary: 'The URL given to connect is malformed or names no known scheme',
  },
  'duration-invalid': {
    retryable: false,
    summary: 'A duration is neither milliseconds nor a text such as "5s"',
  },
  'schedule-invalid': {
    retryable: false,
    summary: 'A time of delivery, a cron expression or a time zone is not usable',
  },
  closed: { retryable: false, summary: 'The object was used after it was closed' },
  'illegal-state': {
    retryable: false,
    summary: 'The call is not allowed in the present state (JMS IllegalStateException)',
  },
  'client-id-invalid': {
    retryable: false,
    summary: 'The client id is missing, taken or set too late (JMS InvalidClientIDException)',
  },
  'destination-not-found': {
    retryable: false,
    summary: 'The queue or exchange does not exist and may not be created',
  },
  'destination-invalid': { retryable: false, summary: 'The name or kind of the destination is not usable' },
  'destination-in-use': { retryable: true, summary: 'The destination or subscription has active consumers' },
  'destination-conflict': { retryable: false, summary: 'The destination exists with a different definition' },
  'selector-invalid': {
    retryable: false,
    summary: 'The selector is not one of the language (JMS InvalidSelectorException)',
  },
  'message-too-large': { retryable: false, summary: 'The message is larger than the limit' },
  'message-invalid': { retryable: false, summary: 'The message does not fit the schema or the format' },
  'message-format-invalid': {
    retryable: false,
    summary: 'A value is of a type that a message cannot carry or convert (JMS MessageFormatException)',
  },
  'message-read-only': {
    retryable: false,
    summary: 'A received message cannot be changed (JMS MessageNotWriteableException)',
  },
  'message-unroutable': { retryable: false, summary: 'No queue takes the message' },
  'message-damaged': {
    retryable: false,
    summary: 'The stored bytes of the message failed their checksum and are in quarantine',
  },
  backpressure: {
    retryable: true,
    summary:
      'A producer with a bound on what is under way had no room for the send in time; nothing was sent',
  },
  'queue-full': { retryable: true, summary: 'A queue that the message routes to is at its capacity' },
  'memory-full': { retryable: true, summary: 'A bound on what is held in memory is reached' },
  'disk-full': {
    retryable: true,
    summary: 'The disk is full; publishes are refused, everything else goes on',
  },
  'journal-failed': {
    retryable: false,
    summary: 'A write or sync of the journal failed; nothing more is confirmed until restart',
  },
  'journal-newer': { retryable: false, summary: 'The data directory was written by a newer format' },
  'directory-locked': { retryable: true, summary: 'Another process owns the data directory' },
  'directory-unusable': {
    retryable: false,
    summary: 'The data directory cannot be created, read or written',
  },
  'delivery-settled': {
    retryable: false,
    summary: 'The delivery was settled before, or was lost with its link',
  },
  'connection-failed': {
    retryable: true,
    summary: 'The broker cannot be reached, or ended the connection before it was established',
  },
  'connection-lost': {
    retryable: true,
    summary: 'The connection to the broker was lost before the operation was decided',
  },
  'protocol-mismatch': {
    retryable: false,
    summary: 'What answers at the address speaks another protocol than the URL names',
  },
  'authentication-failed': {
    retryable: false,
    summary: 'The broker does not accept this user, password or mechanism',
  },
  'not-permitted': { retryable: false, summary: 'The user may not do this with this destination' },
  'transaction-not-found': {
    retryable: false,
    summary: 'There is no such transaction: it has ended, or never began on this connection',
  },
  'transaction-rolled-back': {
    retryable: true,
    summary:
      'The transaction was rolled back; nothing of it has happened (JMS TransactionRolledBackException)',
  },
  'transaction-too-large': {
    retryable: false,
    summary: 'The transaction has more operations than the limit; it has been rolled back',
  },
  'prepared-not-found': {
    retryable: false,
    summary: 'There is no such half message, or it has been decided',
  },
  'database-unavailable': {
    retryable: true,
    summary: 'The database cannot be reached, or the connection to it was lost',
  },
  'database-read-only': { retryable: true, summary: 'The database takes no writes' },
  'database-conflict': {
    retryable: true,
    summary: 'The database ended the transaction, or did not begin it, because of another one',
  },
  'database-duplicate': { retryable: false, summary: 'There is a row of this key in the database' },
  'database-failed': { retryable: false, summary: 'The database refused a statement' },
  'driver-missing': {
    retryable: false,
    summary: 'The package that speaks to the database is not installed',
  },
  'schema-missing': { retryable: false, summary: 'The tables that are needed are not in the database' },
  'schema-older': {
    retryable: false,
    summary: 'The tables are of an older version, and have to be migrated',
  },
  'schema-newer': { retryable: false, summary: 'The tables are of a newer version than this one knows' },
  superseded: {
    retryable: false,
    summary: 'A later attempt has taken over; nothing of this one counts',
  },
  'message-id-conflict': {
    retryable: false,
    summary: 'A message of the same id and another body was processed before',
  },
  'effect-unknown': {
    retryable: false,
    summary: 'Nobody knows whether the effect of a message has happened',
  },
  'lock-lost': {
    retryable: true,
    summary:
      'A lock, or a place behind a gate, is not held any more: its connection was lost, or it was taken back',
  },
  'token-stale': {
    retryable: false,
    summary: 'The token is that of a former holder of a lock or place; somebody has held it since',
  },
  timeout: { retryable: true, summary: 'The deadline passed before the operation was done' },
  unsupported: { retryable: false, summary: 'The provider does not have this capability' },
  'runtime-unsupported': { retryable: false, summary: 'This version of Node.js is too old' },
}

export type ErrorCode =
  | 'argument-invalid'
  | 'url-invalid'
  | 'duration-invalid'
  | 'schedule-invalid'
  | 'closed'
  | 'illegal-state'
  | 'client-id-invalid'
  | 'destination-not-found'
  | 'destination-invalid'
  | 'destination-in-use'
  | 'destination-conflict'
  | 'selector-invalid'
  | 'message-too-large'
  | 'message-invalid'
  | 'message-format-invalid'
  | 'message-read-only'
  | 'message-unroutable'
  | 'message-damaged'
  | 'backpressure'
  | 'queue-full'
  | 'memory-full'
  | 'disk-full'
  | 'journal-failed'
  | 'journal-newer'
  | 'directory-locked'
  | 'directory-unusable'
  | 'delivery-settled'
  | 'connection-failed'
  | 'connection-lost'
  | 'protocol-mismatch'
  | 'authentication-failed'
  | 'not-permitted'
  | 'transaction-not-found'
  | 'transaction-rolled-back'
  | 'transaction-too-large'
  | 'prepared-not-found'
  | 'database-unavailable'
  | 'database-read-only'
  | 'database-conflict'
  | 'database-duplicate'
  | 'database-failed'
  | 'driver-missing'
  | 'schema-missing'
  | 'schema-older'
  | 'schema-newer'
  | 'superseded'
  | 'message-id-conflict'
  | 'effect-unknown'
  | 'lock-lost'
  | 'token-stale'
  | 'timeout'
  | 'unsupported'
  | 'runtime-unsupported'

const brand: unique symbol = Symbol.for('millrace.error') as never

/** An operating error of the catalogue. `retryable` says whether the same call may succeed later, unchanged. */
export class MillraceError extends Error {
  override readonly name: string = 'MillraceError'
  readonly code: ErrorCode
  readonly retryable: boolean

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
    this.retryable = errorCatalogue[code].retryable
    Object.defineProperty(this, brand, { value: true })
  }
}

/** True for a MillraceError of any copy of this package in the process. */
export function isMillraceError(value: unknown): value is MillraceError {
  return value instanceof Error && (value as unknown as Record<symbol, unknown>)[brand] === true
}

/** An assertion for programmers' errors: these are bugs of ours and not part of the catalogue. */
export function assert(condition: unknown, what: string): asserts condition {
  if (!condition) throw new Error(`millrace: internal assertion failed: ${what}`)
}
