/**
 * The delivery lifecycle as a total table (DESIGN §3, docs/spec/delivery-lifecycle.md): what becomes of a message in one
 * queue, for every state and every event. The engine consults it for each transition; nothing else decides.
 */
export const states = [
  'prepared',
  'pending',
  'scheduled',
  'ready',
  'waiting',
  'acquired',
  'accepted',
  'dead-lettered',
  'expired',
  'discarded',
] as const

export type State = (typeof states)[number]

export const events = [
  /** Handed to a consumer, or held by the engine itself while it moves the message elsewhere. */
  'acquire',
  'accept',
  'release',
  /** Given back unused, to be delivered later. */
  'defer',
  /** Modified with delivery-failed, below the limit of deliveries. */
  'fail',
  /** The same when a session rolls back what it has received: it waits for no backoff. */
  'undo',
  /** Modified with delivery-failed, at the limit of deliveries. */
  'exhaust',
  'reject',
  'connection-lost',
  'delivery-timeout',
  'commit',
  'rollback',
  /** The delay of a scheduled or waiting message has passed. */
  'due',
  'expire',
  /** Purged by an operator, dropped by an overflow policy, or damaged. */
  'discard',
] as const

export type LifecycleEvent = (typeof events)[number]

/**
 * A state: go there. 'stay': the event is legitimate and changes nothing. 'never': no code may raise it; a fault of ours.
 */
export type Transition = State | 'stay' | 'never'

type Row = Readonly<Record<LifecycleEvent, Transition>>

/** Before a message is offered to anybody there is nothing to settle. */
const unoffered = {
  acquire: 'never',
  accept: 'never',
  release: 'never',
  defer: 'never',
  fail: 'never',
  undo: 'never',
  exhaust: 'never',
  reject: 'never',
  'connection-lost': 'never',
  'delivery-timeout': 'never',
} as const

/** A settled message: late answers are legitimate, because a settlement and a timeout may cross. */
const settled: Row = {
  acquire: 'never',
  accept: 'stay',
  release: 'stay',
  defer: 'stay',
  fail: 'stay',
  undo: 'stay',
  exhaust: 'stay',
  reject: 'stay',
  'connection-lost': 'stay',
  'delivery-timeout': 'stay',
  commit: 'never',
  rollback: 'never',
  due: 'never',
  expire: 'stay',
  discard: 'stay',
}

export const lifecycle: Readonly<Record<State, Row>> = {
  prepared: {
    ...unoffered,
    commit: 'ready',
    rollback: 'discarded',
    due: 'never',
    expire: 'stay',
    discard: 'discarded',
  },
  pending: {
    ...unoffered,
    commit: 'ready',
    rollback: 'discarded',
    due: 'never',
    expire: 'stay',
    discard: 'discarded',
  },
  scheduled: {
    ...unoffered,
    commit: 'never',
    rollback: 'discarded',
    due: 'ready',
    expire: 'expired',
    discard: 'discarded',
  },
  ready: {
    ...unoffered,
    acquire: 'acquired',
    commit: 'never',
    rollback: 'never',
    due: 'never',
    expire: 'expired',
    discard: 'discarded',
  },
  waiting: {
    ...unoffered,
    commit: 'never',
    rollback: 'never',
    due: 'ready',
    expire: 'expired',
    discard: 'discarded',
  },
  acquired: {
    acquire: 'never',
    accept: 'accepted',
    release: 'ready',
    defer: 'waiting',
    fail: 'waiting',
    undo: 'ready',
    exhaust: 'dead-lettered',
    reject: 'dead-lettered',
    'connection-lost': 'ready',
    'delivery-timeout': 'waiting',
    // A transaction that settles it holds the settlement back; only the settlement itself changes the state.
    commit: 'never',
    rollback: 'stay',
    due: 'never',
    // It was in time when it was delivered; the consumer's answer decides.
    expire: 'stay',
    discard: 'discarded',
  },
  accepted: settled,
  'dead-lettered': settled,
  expired: settled,
  discarded: settled,
}

/** States as small numbers, for the slots of the queue index. */
export const StateCode: Readonly<Record<State, number>> = Object.fromEntries(
  states.map((state, code) => [state, code]),
) as Record<State, number>

const STAY = 254
const NEVER = 255
const codes = new Uint8Array(states.length * events.length)
for (const [row, state] of states.entries()) {
  for (const [column, event] of events.entries()) {
    const to = lifecycle[state][event]
    codes[row * events.length + column] = to === 'stay' ? STAY : to === 'never' ? NEVER : StateCode[to]
  }
}

const eventCodes = new Map<LifecycleEvent, number>(events.map((event, code) => [event, code]))

/** An event's column, to be looked up once by code that raises it often. */
export function eventCode(event: LifecycleEvent): number {
  return eventCodes.get(event)!
}

/** The state after an event; throws for a pair that no code may raise. */
export function transition(state: number, event: number): number {
  const to = codes[state * events.length + event]!
  if (to === STAY) return state
  if (to === NEVER)
    throw new Error(`millrace: internal assertion failed: ${events[event]} in state ${states[state]}`)
  return to
}

/** Whether a transaction, or the sender of a half message, still has to say whether it counts. */
export function isUndecided(state: number): boolean {
  return state <= StateCode.pending
}

/** Whether a queue still holds a message in this state. */
export function isHeld(state: number): boolean {
  return state < StateCode.accepted
}
