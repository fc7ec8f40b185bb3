import type { SendOptions } from '../../client/outgoing.ts'
import type { StandardResult, StandardSchema } from '../../client/standard-schema.ts'
import { readValue, writeValue } from '../values.ts'

export type Direction = 'forward' | 'back'

/** Where a saga stands: on its way, through, on its way back, back, or waiting for somebody to look at it. */
export type SagaPhase = 'running' | 'done' | 'undoing' | 'undone' | 'stuck'

/** What is to be done next, and everything that is needed for it; it is the status of the saga too. */
export interface SagaMessage<State = unknown> {
  readonly saga: string
  readonly id: string
  /** The step that is to be done or undone, or was the last. */
  readonly step: string
  readonly direction: Direction
  readonly status: SagaPhase
  readonly state: State
  /** Steps that were done and not undone, in the order in which they were done. */
  readonly done: readonly string[]
  /** Of a step to be undone: it was begun, and nobody knows whether it was done. */
  readonly unsure?: boolean | undefined
  /** Why it went back. */
  readonly error?: string | undefined
  /** Why it is stuck. */
  readonly problem?: string | undefined
}

/** As it is sent: the state written so that it comes out as it went in. Throws `message-invalid`, and what JSON throws. */
export function written<State>(message: SagaMessage<State>): SagaMessage {
  return { ...message, state: writeValue(message.state) }
}

/** What there is to say about it beside the body. The id is the same whenever the same step is to be done or undone. */
export function headersOf({ saga, id, step, direction, status }: SagaMessage): SendOptions {
  const messageId = direction === 'forward' ? `${saga}/${id}/${step}` : `${saga}/${id}/${step}/undo`
  return { kind: 'json', messageId, properties: { saga: id, step, direction, status } }
}

/** Which messages are of this saga. */
export function selectorOf(id: string): string {
  return `saga = '${id.replaceAll("'", "''")}'`
}

const phases: readonly unknown[] = ['running', 'done', 'undoing', 'undone', 'stuck'] satisfies SagaPhase[]
const texts: readonly (keyof SagaMessage)[] = ['saga', 'id', 'step']
const optionalTexts: readonly (keyof SagaMessage)[] = ['error', 'problem']

/** Undefined: it is none. */
export function readMessage<State>(body: unknown): SagaMessage<State> | undefined {
  if (typeof body !== 'object' || body === null) return undefined
  const message = body as SagaMessage<State>
  const isWhole =
    texts.every((name) => typeof message[name] === 'string') &&
    optionalTexts.every((name) => message[name] === undefined || typeof message[name] === 'string') &&
    (message.direction === 'forward' || message.direction === 'back') &&
    phases.includes(message.status) &&
    Array.isArray(message.done) &&
    message.done.every((step) => typeof step === 'string')
  if (!isWhole) return undefined
  try {
    return { ...message, state: readValue(message.state) as State }
  } catch {
    // A value of a kind that this version does not know.
    return undefined
  }
}

/** For whoever receives them: others are dead-lettered. */
export function messageSchema<State>(saga: string): StandardSchema<SagaMessage, SagaMessage<State>> {
  const validate = (value: unknown): StandardResult<SagaMessage<State>> => {
    const message = readMessage<State>(value)
    return message?.saga === saga
      ? { value: message }
      : { issues: [{ message: `it is no message of the saga ${saga}` }] }
  }
  return { '~standard': { version: 1, vendor: 'millrace', validate } }
}
