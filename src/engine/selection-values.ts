import type { PropertyLookup } from '../model/selector/selector.ts'
import type { Contents } from './ports/contents.ts'
import type { PublishHead } from './ports/operations.ts'

const nothing = new Uint8Array(0)
const priorities: readonly bigint[] = Array.from({ length: 10 }, (_, priority) => BigInt(priority))

/**
 * What the identifiers of selectors stand for in one message after the other. Nothing is decoded before it is asked for, and
 * then once a message, however many selectors ask.
 */
export class MessageValues {
  private contents: Contents | undefined
  private payload: Uint8Array = nothing
  private start = 0
  private end = 0
  private format = 0
  private priority = 0
  private durable = true
  private readonly found = new Map<string, unknown>()

  /**
   * The payload lies in payload[start, end). Of a large one in chunks the first will do: what lies behind it is NULL.
   */
  reset(
    contents: Contents,
    head: Pick<PublishHead, 'format' | 'priority'>,
    payload: Uint8Array,
    durable: boolean,
    start = 0,
    end: number = payload.length,
  ): this {
    this.contents = contents
    this.payload = payload
    this.start = start
    this.end = end
    this.format = head.format
    this.priority = head.priority
    this.durable = durable
    if (this.found.size > 0) this.found.clear()
    return this
  }

  /** A property as its receiver sees it: what headers exchanges compare. */
  readonly property: PropertyLookup = (name) =>
    this.contents?.property(this.format, this.payload.subarray(this.start, this.end), name)

  /** What an identifier of a selector stands for. */
  readonly lookup: PropertyLookup = (identifier) => {
    switch (identifier) {
      case 'JMSPriority':
        return priorities[this.priority]
      case 'JMSDeliveryMode':
        return this.durable ? 'PERSISTENT' : 'NON_PERSISTENT'
      // It changes from delivery to delivery, so nothing could be selected by it once and for all.
      case 'JMSXDeliveryCount':
        return undefined
      default:
        return this.decoded(identifier)
    }
  }

  private decoded(identifier: string): unknown {
    const known = this.found.get(identifier)
    if (known !== undefined || this.found.has(identifier)) return known
    const { format, payload, start, end } = this
    const value = this.contents?.selectable(format, payload, start, end, identifier)
    this.found.set(identifier, value)
    return value
  }
}
