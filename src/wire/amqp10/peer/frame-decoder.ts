import { AmqpCondition } from './conditions.ts'
import { Descriptor } from './descriptors.ts'
import { DispositionFrame, FlowFrame, TransferFrame } from './hot-frames.ts'
import {
  type AttachFrame,
  type BeginFrame,
  type DetachFrame,
  readAttach,
  readBegin,
  readDescriptor,
  readDetach,
  readList,
  readOpen,
  readReason,
} from './performative-decoder.ts'
import type { AmqpError, Open } from './performatives.ts'
import { Violation } from './violation.ts'

export type Seldom =
  | { readonly kind: 'open'; readonly value: Open }
  | { readonly kind: 'begin'; readonly value: BeginFrame }
  | { readonly kind: 'attach'; readonly value: AttachFrame }
  | { readonly kind: 'detach'; readonly value: DetachFrame }
  | { readonly kind: 'end' | 'close'; readonly value: AmqpError | undefined }

/** Decodes the body of one frame after the other, wholly, so that nothing is acted upon before all is understood. */
export class FrameDecoder {
  /** The descriptor of the performative decoded last. */
  code = 0
  /** The performatives of every message, decoded in place. */
  readonly flow: FlowFrame = new FlowFrame()
  readonly transfer: TransferFrame = new TransferFrame()
  readonly disposition: DispositionFrame = new DispositionFrame()
  /** Any other one. */
  seldom: Seldom | undefined

  /** Throws Violation or `message-invalid`. */
  decode(bytes: Buffer, at: number, end: number): void {
    let code = end - at >= 3 && bytes[at] === 0x00 && bytes[at + 1] === 0x53 ? bytes[at + 2]! : 0
    if (code > 0) at += 3
    else ({ code, at } = readDescriptor(bytes, at, end))
    this.code = code
    this.seldom = undefined
    if (code === Descriptor.transfer) this.transfer.read(bytes, at, end)
    else if (code === Descriptor.disposition) this.disposition.read(bytes, at, end)
    else if (code === Descriptor.flow) this.flow.read(bytes, at, end)
    else this.seldom = decodeSeldom(code, bytes, at, end)
  }
}

function decodeSeldom(code: number, bytes: Buffer, at: number, end: number): Seldom {
  if (!(code >= Descriptor.open && code <= Descriptor.close)) {
    throw new Violation(AmqpCondition.notImplemented, 'a frame carries no performative of AMQP 1.0')
  }
  const fields = readList('performative', bytes, at, end)
  switch (code) {
    case Descriptor.open:
      return { kind: 'open', value: readOpen(fields) }
    case Descriptor.begin:
      return { kind: 'begin', value: readBegin(fields) }
    case Descriptor.attach:
      return { kind: 'attach', value: readAttach(fields) }
    case Descriptor.detach:
      return { kind: 'detach', value: readDetach(fields) }
    default:
      return { kind: code === Descriptor.end ? 'end' : 'close', value: readReason(fields) }
  }
}
