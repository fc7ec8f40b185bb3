import { randomUUID } from 'node:crypto'
import { type Duration, milliseconds } from '../../model/duration.ts'
import { MillraceError } from '../../model/errors.ts'
import type { NetworkOptions, ReconnectOptions } from '../provider.ts'
import type { LineOptions } from './line.ts'

/** How a lost connection is restored. Milliseconds. */
export interface ReconnectPolicy {
  readonly initial: number
  readonly max: number
  readonly maxAttempts: number
  readonly firstAttempts: number
}

/** Throws `argument-invalid`, `duration-invalid`. */
export function resolveReconnect(options: ReconnectOptions | false | undefined): ReconnectPolicy {
  if (options === false) return { initial: 0, max: 0, maxAttempts: 0, firstAttempts: 1 }
  const {
    initial = 100,
    max = '10s',
    maxAttempts = Number.POSITIVE_INFINITY,
    firstAttempts = 1,
  } = options ?? {}
  return {
    initial: milliseconds(initial),
    max: milliseconds(max),
    maxAttempts: count('reconnect.maxAttempts', maxAttempts, 0),
    firstAttempts: count('reconnect.firstAttempts', firstAttempts, 1),
  }
}

/** How each line introduces itself. Throws `argument-invalid`, `duration-invalid`. */
export function lineOptions(clientId: string | undefined, options: NetworkOptions): LineOptions {
  return {
    containerId: clientId ?? randomUUID(),
    exclusive: clientId !== undefined,
    idleTimeout: timeout('idleTimeout', options.idleTimeout, 30_000),
    handshakeTimeout: timeout('connectTimeout', options.connectTimeout, 10_000),
  }
}

/** Milliseconds of a time-out that must not be nothing. */
function timeout(name: string, value: Duration | undefined, otherwise: number): number {
  const time = value === undefined ? otherwise : milliseconds(value)
  if (time > 0) return time
  throw new MillraceError('argument-invalid', `${name} is longer than nothing`)
}

function count(name: string, value: number, least: number): number {
  if (value === Number.POSITIVE_INFINITY || (Number.isSafeInteger(value) && value >= least)) return value
  throw new MillraceError('argument-invalid', `${name} is a whole number from ${least}, not ${value}`)
}
