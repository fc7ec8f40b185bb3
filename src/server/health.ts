import type { Engine } from '../engine/api.ts'
import type { MillraceError } from '../model/errors.ts'

/** What health is judged by. */
export interface Vitals {
  readonly engine: Engine
  failure(): MillraceError | undefined
  diskFull(): boolean
  stopping(): boolean
}

export interface Health {
  readonly status: 'ok' | 'unavailable'
  readonly reasons: readonly Reason[]
}

export interface Reason {
  readonly code: 'journal-failed' | 'disk-full' | 'queue-full' | 'stopping'
  readonly message: string
  readonly queues?: readonly string[]
}

/** Queues named in an answer. */
const MOST_NAMED = 10

/** Whether it is worth keeping the process: false only when nothing but a new start can help. */
export function liveness(vitals: Vitals): Health {
  const failure = vitals.failure()
  return healthOf(failure ? [failed(failure)] : [])
}

/** Whether publishers get through. */
export function readiness(vitals: Vitals): Health {
  const failure = vitals.failure()
  const reasons: Reason[] = []
  if (failure) reasons.push(failed(failure))
  if (vitals.stopping()) reasons.push({ code: 'stopping', message: 'the server is shutting down' })
  if (vitals.diskFull())
    reasons.push({
      code: 'disk-full',
      message: 'the disk is full; publishes are refused until there is room',
    })
  const full = vitals.engine.queues().filter(({ held }) => held > 0)
  if (full.length > 0) {
    const named = full.slice(0, MOST_NAMED).map(({ definition }) => definition.name)
    const message = `${full.length === 1 ? 'a queue is' : `${full.length} queues are`} full, and publishers wait`
    reasons.push({ code: 'queue-full', message, queues: named })
  }
  return healthOf(reasons)
}

function failed(error: MillraceError): Reason {
  return { code: 'journal-failed', message: error.message }
}

function healthOf(reasons: readonly Reason[]): Health {
  return { status: reasons.length === 0 ? 'ok' : 'unavailable', reasons }
}
