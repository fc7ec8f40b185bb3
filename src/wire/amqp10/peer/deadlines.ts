/** Silence beyond the deadline is borne so long more, at most: this process may have been the one that slept. */
const GRACE = 1000

/** The clockwork of a connection (2.4.5), wound by the host: it is told the time and answers when it wants to know again. */
export class Deadlines {
  /** Set when bytes have come or gone since the last look. */
  heard = false
  wrote = false
  private readonly handshakeTimeout: number
  private readonly idleTimeOut: number
  private handshakeEnd: number
  private silentSince: number
  private suspectUntil = Number.NaN
  private keepAliveAt = Number.NaN

  constructor(now: number, handshakeTimeout: number, idleTimeOut: number) {
    this.handshakeTimeout = handshakeTimeout
    this.idleTimeOut = idleTimeOut
    this.handshakeEnd = now + handshakeTimeout
    this.silentSince = now
  }

  /** Another handshake has begun: the other end is given its time anew, from the next look on. */
  restartHandshake(): void {
    this.handshakeEnd = Number.NaN
  }

  handshakeOver(now: number): boolean {
    if (Number.isNaN(this.handshakeEnd)) this.handshakeEnd = now + this.handshakeTimeout
    return now >= this.handshakeEnd
  }

  get handshakeDeadline(): number {
    return this.handshakeEnd
  }

  /** Nothing has come for twice our idle time-out, and nothing came in the time of grace. */
  isSilent(now: number): boolean {
    if (this.idleTimeOut === 0) return false
    if (this.heard) {
      this.heard = false
      this.silentSince = now
      this.suspectUntil = Number.NaN
    }
    if (now < this.silenceEnd) return false
    if (Number.isNaN(this.suspectUntil)) this.suspectUntil = now + Math.min(GRACE, this.idleTimeOut)
    return now >= this.suspectUntil
  }

  get silenceDeadline(): number {
    if (this.idleTimeOut === 0) return Number.POSITIVE_INFINITY
    return Number.isNaN(this.suspectUntil) ? this.silenceEnd : this.suspectUntil
  }

  private get silenceEnd(): number {
    return this.silentSince + 2 * this.idleTimeOut
  }

  /** Nothing has gone out for a third of the other end's idle time-out, so that it hears of us well before the end. */
  isKeepAliveDue(now: number, remoteIdleTimeOut: number): boolean {
    if (remoteIdleTimeOut === 0 || now < this.keepAliveAt) return false
    this.keepAliveAt = now + remoteIdleTimeOut / 3
    const due = !this.wrote
    this.wrote = false
    return due
  }

  get keepAliveDeadline(): number {
    return Number.isNaN(this.keepAliveAt) ? Number.POSITIVE_INFINITY : this.keepAliveAt
  }
}
