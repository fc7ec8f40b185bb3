import type { Destination } from '../../model/destination.ts'
import { type Body, type IdSeries, PlainContent } from '../../model/message.ts'
import { Reader } from './reader.ts'
import { Section } from './sections.ts'
import type { Writer } from './writer.ts'

/** Kinds of body and destinations of one producer for which a head is kept. */
const MOST_HEADS = 16

const LIST8 = 0xc0
const STRING8 = 0xa1
const TIMESTAMP = 0x83
const TIME_BYTES = 8
/** Of a number below 2^53. */
const MOST_DIGITS = 11
const DIGITS = Buffer.from('0123456789abcdefghijklmnopqrstuvwxyz')

/**
 * The sections in front of the body of messages of which their producer says nothing else. They differ in the number at the
 * end of the id and in the time, so that the rest is written once and copied.
 */
class Head {
  /** Up to the number of the id, and from there to the time. */
  private readonly front: Uint8Array
  private readonly back: Uint8Array
  /** Where in the front the sizes of the list and of the id stand, and both without the digits of the number. */
  private readonly sizeAt: number
  private readonly idSizeAt: number
  private readonly size: number
  private readonly idSize: number

  /** `example`: such a message whose number has one digit, which stands at `digitAt`. */
  constructor(example: Uint8Array, stemBytes: number, digitAt: number, timeAt: number) {
    this.front = Uint8Array.from(example.subarray(0, digitAt))
    this.back = Uint8Array.from(example.subarray(digitAt + 1, timeAt))
    this.idSizeAt = digitAt - stemBytes - 1
    this.sizeAt = this.idSizeAt - 3
    this.size = this.front[this.sizeAt]! - 1
    this.idSize = stemBytes
  }

  write(writer: Writer, { number, timestamp }: PlainContent): void {
    const { front, back } = this
    const start = writer.at
    writer.raw(front)
    const digits = writeDigits(writer, number)
    writer.bytes[start + this.sizeAt] = this.size + digits
    writer.bytes[start + this.idSizeAt] = this.idSize + digits
    writer.raw(back)
    writer.millis(timestamp)
  }
}

/** In base 36; answers how many. */
function writeDigits(writer: Writer, number: number): number {
  let digits = 1
  for (let limit = 36; number >= limit; limit *= 36) digits++
  writer.reserve(digits)
  const { bytes, at } = writer
  let rest = number
  for (let i = digits - 1; i >= 0; i--) {
    const quotient = Math.floor(rest / 36)
    bytes[at + i] = DIGITS[rest - quotient * 36]!
    rest = quotient
  }
  writer.at = at + digits
  return digits
}

const reader = new Reader()

/** A body of each kind. None of the values that are of no other kind: what they are, annotations say for each by itself. */
const examples: Readonly<Record<Body['kind'], Body | undefined>> = {
  text: { kind: 'text', value: '' },
  bytes: { kind: 'bytes', value: new Uint8Array(0) },
  json: { kind: 'json', value: null },
  map: { kind: 'map', value: new Map() },
  stream: { kind: 'stream', value: [] },
  value: undefined,
}

type Encode = (content: PlainContent, to: Destination | undefined) => Uint8Array

const heads = new WeakMap<IdSeries, Map<string, Head | undefined>>()
/** What was asked for last is mostly asked for next. */
let lastSeries: IdSeries | undefined
let lastKind = ''
let lastToKind: string | undefined
let lastToName: string | undefined
let lastHead: Head | undefined

/** The head of such messages to that destination; undefined: to be encoded like any other. `encode` writes whole messages. */
export function headOf(content: PlainContent, to: Destination | undefined, encode: Encode): Head | undefined {
  const { series, body } = content
  const isSameTo = to?.name === lastToName && to?.kind === lastToKind
  if (series === lastSeries && body.kind === lastKind && isSameTo) return lastHead
  lastHead = find(content, to, encode)
  lastSeries = series
  lastKind = body.kind
  lastToKind = to?.kind
  lastToName = to?.name
  return lastHead
}

function find(content: PlainContent, to: Destination | undefined, encode: Encode): Head | undefined {
  const { series, body } = content
  let known = heads.get(series)
  if (known === undefined) {
    known = new Map()
    heads.set(series, known)
  }
  const key = `${body.kind} ${to?.kind} ${to?.name}`
  if (!known.has(key) && known.size < MOST_HEADS) known.set(key, make(content, to, encode))
  return known.get(key)
}

function make(content: PlainContent, to: Destination | undefined, encode: Encode): Head | undefined {
  const { series } = content
  const body = examples[content.body.kind]
  // Ids that begin like this may be of other types than text.
  if (body === undefined || series.stem.startsWith('ID:AMQP_')) return undefined
  const example = encode(new PlainContent(body, series, 0, 0), to)
  reader.reset(example, 0, example.length)
  reader.descriptor()
  reader.skip()
  if (reader.descriptor() !== Section.properties) return undefined
  const at = reader.at
  const size = example[at + 1]!
  const stemBytes = Buffer.byteLength(series.stem)
  const isShort = example[at] === LIST8 && size + MOST_DIGITS < 256
  const isPlain = example[at + 3] === STRING8 && example[at + 4] === stemBytes + 1
  // The time is the last of the fields.
  const timeAt = at + 2 + size - TIME_BYTES
  if (!isShort || !isPlain || example[timeAt - 1] !== TIMESTAMP) return undefined
  return new Head(example, stemBytes, at + 5 + stemBytes, timeAt)
}
