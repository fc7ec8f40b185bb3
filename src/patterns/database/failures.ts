import { type ErrorCode, isMillraceError, MillraceError } from '../../model/errors.ts'

/** Codes of the drivers, never their texts: SQLSTATE of PostgreSQL, errno of MySQL, result codes of SQLite. */
const codes: Readonly<Record<string, ErrorCode>> = {
  // PostgreSQL
  '23505': 'database-duplicate',
  '25006': 'database-read-only',
  '40001': 'database-conflict',
  '40P01': 'database-conflict',
  '55P03': 'database-conflict',
  '57014': 'database-conflict',
  '42P01': 'schema-missing',
  '42703': 'schema-missing',
  '22001': 'message-too-large',
  '54000': 'message-too-large',
  '57P01': 'database-unavailable',
  '57P02': 'database-unavailable',
  '57P03': 'database-unavailable',
  '57P05': 'database-unavailable',
  '53300': 'database-unavailable',
  // MySQL and MariaDB
  ER_DUP_ENTRY: 'database-duplicate',
  ER_OPTION_PREVENTS_STATEMENT: 'database-read-only',
  ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION: 'database-read-only',
  ER_READ_ONLY_MODE: 'database-read-only',
  ER_LOCK_DEADLOCK: 'database-conflict',
  ER_LOCK_WAIT_TIMEOUT: 'database-conflict',
  ER_CHECKREAD: 'database-conflict',
  ER_NO_SUCH_TABLE: 'schema-missing',
  ER_BAD_FIELD_ERROR: 'schema-missing',
  ER_DATA_TOO_LONG: 'message-too-large',
  ER_NET_PACKET_TOO_LARGE: 'message-too-large',
  ER_SERVER_SHUTDOWN: 'database-unavailable',
  ER_CON_COUNT_ERROR: 'database-unavailable',
  ER_CONNECTION_KILLED: 'database-unavailable',
  ER_NEW_ABORTING_CONNECTION: 'database-unavailable',
  PROTOCOL_CONNECTION_LOST: 'database-unavailable',
  PROTOCOL_SEQUENCE_TIMEOUT: 'database-unavailable',
  // sockets
  ECONNREFUSED: 'database-unavailable',
  ECONNRESET: 'database-unavailable',
  EPIPE: 'database-unavailable',
  ENOENT: 'database-unavailable',
  ENOTFOUND: 'database-unavailable',
  EAI_AGAIN: 'database-unavailable',
  EHOSTUNREACH: 'database-unavailable',
  ENETUNREACH: 'database-unavailable',
  ETIMEDOUT: 'database-unavailable',
}

/** The lower eight bits of the result codes of SQLite; 1, an error of the statement, says too little. */
const sqliteCodes: Readonly<Record<number, ErrorCode>> = {
  5: 'database-conflict',
  6: 'database-conflict',
  8: 'database-read-only',
  10: 'database-unavailable',
  13: 'database-unavailable',
  14: 'database-unavailable',
  18: 'message-too-large',
}
const SQLITE_CONSTRAINT_UNIQUE = 2067
const SQLITE_CONSTRAINT_PRIMARYKEY = 1555

interface DriverError {
  readonly code?: unknown
  readonly errcode?: unknown
  readonly cause?: unknown
  readonly fatal?: unknown
}

const summaries: Readonly<Partial<Record<ErrorCode, string>>> = {
  'database-unavailable': 'the database cannot be reached, or the connection to it was lost',
  'database-read-only': 'the database takes no writes',
  'database-conflict': 'the database ended the transaction because of another one',
  'schema-missing': 'a table or column that is needed is not there',
  'message-too-large': 'the database does not take a value of this size',
  'database-duplicate': 'there is a row of this key',
}

/** What a driver has failed with, as an error of the catalogue; one that is of it stays as it is. */
export function databaseError(error: unknown): MillraceError {
  if (isMillraceError(error)) return error
  const code = codeOf(error) ?? (isCoded(error) ? 'database-failed' : 'database-unavailable')
  const told = error instanceof Error ? error.message : String(error)
  const summary = summaries[code] ?? 'the database refused the statement'
  return new MillraceError(code, `${summary}: ${told}`, { cause: error })
}

/** Query builders wrap what their driver has thrown. */
function codeOf(error: unknown): ErrorCode | undefined {
  for (let at = error as DriverError | undefined, depth = 0; at && depth < 5; depth++) {
    const found = ownCode(at)
    if (found) return found
    at = at.cause as DriverError | undefined
  }
  return undefined
}

/** What a server answers has a code, and so has a mistake: what has none is a driver that could not ask the server. */
function isCoded(error: unknown): boolean {
  if (!(error instanceof Error) || error instanceof TypeError || error instanceof RangeError) return true
  const { code, errcode, cause } = error as DriverError
  return code !== undefined || errcode !== undefined || (cause !== undefined && isCoded(cause))
}

function ownCode({ code, errcode, fatal }: DriverError): ErrorCode | undefined {
  if (typeof errcode === 'number') {
    if (errcode === SQLITE_CONSTRAINT_UNIQUE || errcode === SQLITE_CONSTRAINT_PRIMARYKEY)
      return 'database-duplicate'
    return sqliteCodes[errcode & 0xff]
  }
  if (typeof code === 'string') {
    if (Object.hasOwn(codes, code)) return codes[code]
    // Class 08 of SQLSTATE: exceptions of the connection.
    if (/^08[0-9A-Z]{3}$/.test(code)) return 'database-unavailable'
  }
  return fatal === true ? 'database-unavailable' : undefined
}
