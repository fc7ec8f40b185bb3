import { Reader } from '../reader.ts'
import { FrameCursor } from './frame-cursor.ts'
import { readProperties } from './performative-decoder.ts'
import { accepted, type DeliveryState, type Fields, released } from './performatives.ts'
import { readState } from './state-codec.ts'
import { invalidField } from './violation.ts'

/** Stands for a field that is absent. No uint has this value. */
export const ABSENT = -1

/** 2.7.4; one object for all, filled anew for each frame. */
export class FlowFrame {
  nextIncomingId: number = ABSENT
  incomingWindow = 0
  nextOutgoingId = 0
  outgoingWindow = 0
  handle: number = ABSENT
  deliveryCount: number = ABSENT
  linkCredit: number = ABSENT
  available: number = ABSENT
  drain = false
  echo = false
  properties: Fields | undefined

  read(bytes: Buffer, at: number, end: number): void {
    cursor.enter(bytes, at, end)
    this.nextIncomingId = cursor.uint(ABSENT)
    this.incomingWindow = mandatory(cursor.uint(ABSENT), 'incoming-window')
    this.nextOutgoingId = mandatory(cursor.uint(ABSENT), 'next-outgoing-id')
    this.outgoingWindow = mandatory(cursor.uint(ABSENT), 'outgoing-window')
    this.handle = cursor.uint(ABSENT)
    this.deliveryCount = cursor.uint(ABSENT)
    this.linkCredit = cursor.uint(ABSENT)
    this.available = cursor.uint(ABSENT)
    this.drain = cursor.boolean(false)
    this.echo = cursor.boolean(false)
    const properties = cursor.range()
    this.properties = properties < 0 ? undefined : readProperties(bytes, properties, cursor.at)
    cursor.leave()
  }
}

/** 2.7.5 */
export class TransferFrame {
  handle = 0
  deliveryId: number = ABSENT
  tagStart: number = ABSENT
  tagEnd = 0
  format: number = ABSENT
  settled = false
  more = false
  state: DeliveryState | undefined
  aborted = false
  payload = 0

  read(bytes: Buffer, at: number, end: number): void {
    cursor.enter(bytes, at, end)
    this.handle = mandatory(cursor.uint(ABSENT), 'handle')
    this.deliveryId = cursor.uint(ABSENT)
    this.tagStart = cursor.binary()
    this.tagEnd = cursor.at
    this.format = cursor.uint(ABSENT)
    this.settled = cursor.boolean(false)
    this.more = cursor.boolean(false)
    cursor.skip()
    this.state = stateField(bytes)
    cursor.skip()
    this.aborted = cursor.boolean(false)
    cursor.leave()
    this.payload = cursor.at
  }
}

/** 2.7.6 */
export class DispositionFrame {
  /** Of whoever sent it: true for a receiver. */
  receiver = false
  first = 0
  last = 0
  settled = false
  state: DeliveryState | undefined

  read(bytes: Buffer, at: number, end: number): void {
    cursor.enter(bytes, at, end)
    this.receiver = cursor.role()
    this.first = mandatory(cursor.uint(ABSENT), 'first')
    this.last = cursor.uint(this.first)
    this.settled = cursor.boolean(false)
    this.state = stateField(bytes)
    cursor.leave()
  }
}

const cursor = new FrameCursor()
const reader = new Reader()

function mandatory(value: number, name: string): number {
  if (value === ABSENT) throw invalidField(`${name} is mandatory`)
  return value
}

function stateField(bytes: Buffer): DeliveryState | undefined {
  const start = cursor.range()
  if (start < 0) return undefined
  // The two that nearly every disposition has, in their smallest form: 0x00 0x53 code 0x45.
  if (cursor.at - start === 4 && bytes[start] === 0x00 && bytes[start + 1] === 0x53) {
    if (bytes[start + 2] === 0x24) return accepted
    if (bytes[start + 2] === 0x26) return released
  }
  return latest.at(bytes, start, cursor.at)
}

/**
 * All the frames of a transaction carry the same state: the one that came last is recognized by its bytes, so that it is
 * decoded once and is one object for all of them.
 */
class LatestState {
  private readonly bytes: Buffer = Buffer.alloc(64)
  private size = 0
  private state: DeliveryState | undefined

  at(bytes: Buffer, start: number, end: number): DeliveryState | undefined {
    const { size } = this
    if (end - start === size && bytes.compare(this.bytes, 0, size, start, end) === 0) return this.state
    const state = readState(reader.reset(bytes, start, end).value())
    if (state?.kind === 'transactional' && end - start <= this.bytes.length) {
      this.size = bytes.copy(this.bytes, 0, start, end)
      this.state = state
    }
    return state
  }
}

const latest = new LatestState()
