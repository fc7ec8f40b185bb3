import { MillraceError } from '../../model/errors.ts'
import { findDeduplicationId } from '../../wire/amqp10/message-view.ts'
import { SpareBlocks } from '../../wire/amqp10/spare-blocks.ts'
import type { AmqpConnection } from './connection.ts'

/** Kept in one buffer up to this size; beyond, a body is handed to the engine as it comes. */
const BUFFERED_BYTES = 256 * 1024

/** Where bodies are put together: a frame and a bit more, or as much as is put together at all. */
const blocks = [new SpareBlocks(128 * 1024, 16), new SpareBlocks(BUFFERED_BYTES + 128 * 1024, 4)]
const none: Buffer = Buffer.alloc(0)

/** After so many bytes of a large body it is looked whether the disk keeps up. */
const CHECK_BYTES = 4 * 1024 * 1024
/** Bytes that wait for the disk, above which the client is to stop, and how often it is looked again, in milliseconds. */
const UNSYNCED_BYTES = 32 * 1024 * 1024
const CHECK_AGAIN = 2

/**
 * A message that comes in several frames: one buffer when it is small, otherwise a body of the engine that grows with the
 * frames, so that memory does not follow its size.
 */
export class IncomingBody {
  size = 0
  /** The payload when it is small, until `release`. */
  payload: Uint8Array = none
  /** The engine's number of the body when it is large. */
  number: number | undefined
  /** Of a large message: the engine does not look into bodies that it is given in parts. */
  deduplicationId: string | undefined
  private readonly connection: AmqpConnection
  /** Reads what stands before the payload and answers where that begins. */
  private readonly readHead: (bytes: Uint8Array) => number
  /** What has come of a body that is small so far. */
  private buffer = none
  private unchecked = 0

  constructor(connection: AmqpConnection, readHead: (bytes: Uint8Array) => number) {
    this.connection = connection
    this.readHead = readHead
  }

  /** Throws `message-invalid`, `message-too-large`. */
  append(bytes: Uint8Array, start: number, end: number): void {
    this.size += end - start
    const { maxMessageBytes } = this.connection.gateway.limits
    if (this.size > maxMessageBytes) {
      throw new MillraceError(
        'message-too-large',
        `the message has more than ${maxMessageBytes} bytes (maxMessageBytes)`,
      )
    }
    const part = bytes.subarray(start, end)
    if (this.number !== undefined) return this.pass(part)
    this.gather(part)
    if (this.size > BUFFERED_BYTES) this.open()
  }

  private gather(part: Uint8Array): void {
    const { size, buffer } = this
    const at = size - part.length
    if (size > buffer.length) {
      this.buffer = roomFor(size)
      this.buffer.set(buffer.subarray(0, at))
      giveBack(buffer)
    }
    this.buffer.set(part, at)
  }

  /** Everything has come. Throws `message-invalid`. */
  end(): void {
    if (this.number !== undefined) return
    const whole = this.buffer.subarray(0, this.size)
    this.payload = whole.subarray(this.readHead(whole))
  }

  /** The payload is not looked at any more. */
  release(): void {
    giveBack(this.buffer)
    this.buffer = none
    this.payload = none
  }

  abort(): void {
    if (this.number !== undefined) this.connection.engine.abortBody(this.number)
    this.number = undefined
    this.release()
  }

  private open(): void {
    const { engine, number } = this.connection
    const beginning = this.buffer.subarray(0, this.size)
    const payload = beginning.subarray(this.readHead(beginning))
    this.deduplicationId = findDeduplicationId(payload)
    this.number = engine.openBody(number)
    this.pass(payload)
    this.release()
  }

  private pass(bytes: Uint8Array): void {
    this.connection.engine.appendBody(this.number!, bytes)
    this.unchecked += bytes.length
    if (this.unchecked < CHECK_BYTES) return
    this.unchecked = 0
    if (this.diskIsBehind()) this.waitForDisk()
  }

  private diskIsBehind(): boolean {
    return this.connection.engine.store().unsyncedBytes > UNSYNCED_BYTES
  }

  /** The client is not read meanwhile. */
  private waitForDisk(): void {
    const { intake, gateway } = this.connection
    intake.brake()
    const look = (): void => {
      if (this.diskIsBehind()) gateway.options.clock.after(CHECK_AGAIN, look)
      else intake.release()
    }
    gateway.options.clock.after(CHECK_AGAIN, look)
  }
}

function roomFor(size: number): Buffer {
  const fitting = blocks.find((block) => size <= block.size)
  // Of a block at least a quarter is to be filled.
  if (fitting && size * 4 >= fitting.size) return fitting.take()
  return Buffer.allocUnsafeSlow(fitting ? size * 2 : size)
}

function giveBack(buffer: Buffer): void {
  for (const each of blocks) each.give(buffer)
}
