import { MillraceError } from '../model/errors.ts'
import { equalityKey } from '../model/selector/selector.ts'
import type { Core } from './core.ts'
import { EntryFlag } from './index/chunk.ts'
import { newValue, type Value } from './last-values.ts'
import { isUndecided, StateCode } from './lifecycle.ts'
import type { Contents } from './ports/contents.ts'
import type { PublishHead, QueueKey } from './ports/operations.ts'
import type { Queue } from './queue.ts'
import type { Place } from './transfers.ts'

/** Bytes of a key by which messages replace each other. */
const MAX_KEY_BYTES = 256

interface Arrival {
  readonly queue: Queue
  readonly value: Value
  readonly flags: number
}

/**
 * Queues that keep the last value of each key. A message replaces the one before it in the step in which it becomes visible,
 * not when it comes: somebody who sends faster than the disk syncs would keep every value from being seen. The order of LSNs
 * decides which is the last, so that replaying the journal comes to the same.
 */
export class Replacement {
  private readonly core: Core
  private readonly discard: (place: Place) => void
  private arrivals: Arrival[] = []
  /** While the journal is read nothing leaves: it says itself what did. */
  private started = false

  constructor(core: Core, discard: (place: Place) => void) {
    this.core = core
    this.discard = discard
    core.keyed = (queue, lsn, head, flags, state) => this.entered(queue, lsn, head, flags, state)
    core.decided = (queue, lsn, flags) => this.decided(queue, lsn, flags)
    core.cameBack = (queue, lsn) => this.cameBack(queue, lsn)
  }

  /** Recovery is over. What the log does not say to have left, because it ends before, leaves now. */
  start(): void {
    this.started = true
    for (const queue of this.core.topology.byId.values()) {
      for (const value of queue.values?.outdated() ?? []) this.drop(queue, value)
    }
  }

  /** The store has got further. */
  advanced(): void {
    const { arrivals } = this
    if (arrivals.length === 0) return
    this.arrivals = []
    for (const arrival of arrivals) {
      const { queue, value, flags } = arrival
      if (!this.core.isVisible(value.lsn, flags)) this.arrivals.push(arrival)
      // Otherwise it has left meanwhile.
      else if (queue.values!.get(value.lsn) === value) this.count(queue, value)
    }
  }

  /** A checkpoint says that the message is there. */
  restore(queue: Queue, value: Value): void {
    queue.values!.add(value)
    if (value.isDecided) queue.values!.count(value)
  }

  private entered(queue: Queue, lsn: number, head: PublishHead, flags: number, state: number): void {
    const key = head.keys.find((one) => one.queue === queue.id)?.key
    if (key === undefined) return
    const { priority, size } = head
    const value = newValue({ lsn, key, priority, size }, (flags & EntryFlag.memory) !== 0)
    queue.values!.add(value)
    if (!isUndecided(state)) this.arrive(queue, value, flags)
  }

  /** Of a transaction, or half: committed. */
  private decided(queue: Queue, lsn: number, flags: number): void {
    const value = queue.values!.get(lsn)
    if (value !== undefined) this.arrive(queue, value, flags)
  }

  private arrive(queue: Queue, value: Value, flags: number): void {
    value.isDecided = true
    if (!this.started || this.core.isVisible(value.lsn, flags)) {
      this.count(queue, value)
      return
    }
    if (!value.isOutdated) queue.values!.expect(value, replacedBy(queue, value.key))
    this.arrivals.push({ queue, value, flags })
  }

  private count(queue: Queue, value: Value): void {
    const outdated = queue.values!.count(value)
    if (outdated !== undefined && this.started) this.drop(queue, outdated)
  }

  /** What was held to be moved, and stays. */
  private cameBack(queue: Queue, lsn: number): void {
    const value = queue.values!.get(lsn)
    if (value?.isOutdated) this.drop(queue, value)
  }

  /** It leaves, unless somebody holds it; from a page when that has been loaded. */
  private drop(queue: Queue, value: Value): void {
    const place = placeOf(queue, value)
    if (place === undefined) return
    const { lane, chunk, slot } = place
    if (!chunk.resident) this.core.pager.load(queue, lane, chunk, () => this.drop(queue, value))
    else if (slot >= 0 && isFree(chunk.stateOf(slot))) this.discard(place)
  }
}

/** The message that one of this key replaces when it comes now; undefined when there is none, or somebody holds it. */
function replacedBy(queue: Queue, key: string): Value | undefined {
  const value = queue.values!.before(key)
  const place = value && placeOf(queue, value)
  if (place === undefined) return undefined
  const { chunk, slot } = place
  return !chunk.resident || (slot >= 0 && isFree(chunk.stateOf(slot))) ? value : undefined
}

/** The same for the message that the head describes. */
export function replacedIn(queue: Queue, head: PublishHead): Value | undefined {
  if (queue.values === null) return undefined
  const key = head.keys.find((one) => one.queue === queue.id)?.key
  return key === undefined ? undefined : replacedBy(queue, key)
}

/** The keys of a message in these queues, by what it says itself. Throws `message-invalid` for one that is too long. */
export function keysOf(
  contents: Contents,
  queues: readonly Queue[],
  format: number,
  payload: Uint8Array,
): readonly QueueKey[] {
  const keys: QueueKey[] = []
  for (const { id, values } of queues) {
    if (values === null) continue
    const key = equalityKey(contents.property(format, payload, values.property))
    if (key === undefined) continue
    if (Buffer.byteLength(key) > MAX_KEY_BYTES) throw tooLong(values.property)
    keys.push({ queue: id, key })
  }
  return keys
}

/** The same for a message that comes from another queue: one with a key that is too long replaces nothing. */
export function keysOnArrival(
  contents: Contents,
  queue: Queue,
  format: number,
  payload: Uint8Array,
): readonly QueueKey[] {
  try {
    return keysOf(contents, [queue], format, payload)
  } catch (error) {
    if (error instanceof MillraceError) return []
    throw error
  }
}

function placeOf(queue: Queue, { priority, lsn }: Value): Place | undefined {
  const lane = queue.lane(priority)
  const chunk = lane.chunkOf(lsn)
  if (chunk === null) return undefined
  return { queue, lane, chunk, slot: chunk.resident ? chunk.find(lsn) : -1 }
}

function isFree(state: number): boolean {
  return state === StateCode.ready || state === StateCode.waiting
}

function tooLong(property: string): MillraceError {
  return new MillraceError(
    'message-invalid',
    `the property ${JSON.stringify(property)}, by which a queue keeps the last value of each key, has at most ${MAX_KEY_BYTES - 1} bytes; shorten it`,
  )
}
