import type { Engine } from '../../engine/api.ts'
import type { SenderLink } from '../../wire/amqp10/peer/sender-link.ts'

export interface ChunkedOptions {
  readonly engine: Engine
  readonly link: SenderLink
  readonly chunks: readonly number[]
  /** Whether more may be written now; otherwise `resume` is called when it may. */
  readonly flows: () => boolean
  /** `whole`: every chunk is on its way; otherwise one was not there and the delivery has been aborted. */
  readonly done: (whole: boolean) => void
}

/** A delivery too large for one buffer, begun on its link: fetched a chunk at a time, as fast as the other end takes it. */
export class ChunkedDelivery {
  private readonly options: ChunkedOptions
  private next = 0
  private reading = false
  private looping = false
  private over = false

  constructor(options: ChunkedOptions) {
    this.options = options
  }

  resume(): void {
    const { engine, chunks, flows } = this.options
    this.looping = true
    while (!this.reading && !this.over && flows()) {
      this.reading = true
      engine.readChunk(chunks[this.next]!, (bytes) => this.append(bytes))
    }
    this.looping = false
  }

  /** Its link has ended. */
  forget(): void {
    this.over = true
  }

  private append(bytes: Uint8Array | null): void {
    this.reading = false
    if (this.over) return
    const { link, chunks, done } = this.options
    if (bytes === null) {
      this.over = true
      link.abort()
      return done(false)
    }
    this.over = ++this.next === chunks.length
    link.append(bytes, 0, bytes.length, this.over)
    if (this.over) done(true)
    else if (!this.looping) this.resume()
  }
}
