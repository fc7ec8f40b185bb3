/** Of the bytes that a connection may have undecided, the part above which its host should stop reading. */
const HARD_FACTOR = 2

/** A link that is waiting for others' sends to be decided before it grants credit. */
export interface Starved {
  replenish(): void
}

/**
 * What a connection has sent and the broker has not decided, in bytes: above the soft bound no credit is granted, above the
 * hard one the host should not read. Sends to a queue that is full do not count, as others shall not wait for its consumers.
 */
export class Intake {
  private readonly soft: number
  private readonly resumed: () => void
  /** Undefined as long as there is none, as with each message is asked. */
  private starved: Set<Starved> | undefined
  private bytes = 0
  private brakes = 0
  private paused = false

  constructor(soft: number, resumed: () => void) {
    this.soft = soft
    this.resumed = resumed
  }

  get readable(): boolean {
    return !this.paused
  }

  add(bytes: number): void {
    this.bytes += bytes
    if (this.bytes > this.soft * HARD_FACTOR) this.paused = true
  }

  remove(bytes: number): void {
    this.bytes -= bytes
    if (this.bytes > this.soft) return
    if (this.starved) this.feed(this.starved)
    this.resume()
  }

  private feed(starved: Set<Starved>): void {
    this.starved = undefined
    for (const link of starved) link.replenish()
  }

  /** Whether credit may be granted now; otherwise `link` is told when it may. */
  hasRoomFor(link: Starved): boolean {
    if (this.bytes <= this.soft) return true
    this.starved ??= new Set()
    this.starved.add(link)
    return false
  }

  forget(link: Starved): void {
    this.starved?.delete(link)
  }

  /** Somebody cannot take more for another reason, until `release`. */
  brake(): void {
    this.brakes++
    this.paused = true
  }

  release(): void {
    this.brakes--
    this.resume()
  }

  private resume(): void {
    if (!this.paused || this.brakes > 0 || this.bytes > this.soft) return
    this.paused = false
    this.resumed()
  }
}
