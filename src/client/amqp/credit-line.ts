import type { ReceiverLink } from '../../wire/amqp10/peer/receiver-link.ts'

type Drain = (lapsed: number) => void

/**
 * Credit of a receiving link, kept over the links that follow each other. Grants and drains take effect in the order they
 * were asked for: what is granted during a drain waits for its end.
 */
export class CreditLine {
  /** Granted and not used, whether or not there is a link. */
  private outstanding = 0
  private link: ReceiverLink | undefined
  /** Drain under way. */
  private draining: Drain | undefined
  private readonly waiting: (number | Drain)[] = []
  private ended = false

  grant(credit: number): void {
    if (this.draining) this.waiting.push(credit)
    else this.add(credit)
  }

  private add(credit: number): void {
    this.outstanding += credit
    this.link?.grant(credit)
  }

  /** A delivery has come. */
  used(): void {
    this.outstanding--
  }

  /** Resolves with the credit that lapsed, when the link has said so. */
  drain(): Promise<number> {
    return new Promise((resolve) => {
      if (this.ended) resolve(0)
      else if (this.draining) this.waiting.push(resolve)
      else this.begin(resolve)
    })
  }

  /** Without a link nothing can come: the credit lapses at once. */
  private begin(drain: Drain): void {
    this.draining = drain
    if (this.link) this.link.drain()
    else this.drained(this.outstanding)
  }

  drained(lapsed: number): void {
    this.outstanding -= lapsed
    const told = this.draining
    this.draining = undefined
    told?.(lapsed)
    while (!this.draining && this.waiting.length > 0) {
      const next = this.waiting.shift()!
      if (typeof next === 'number') this.add(next)
      else this.begin(next)
    }
  }

  /** A new link: it gets the credit that is outstanding. */
  attached(link: ReceiverLink): void {
    this.link = link
    if (this.outstanding > 0) link.grant(this.outstanding)
  }

  /** The link is gone; `unseen` deliveries had come and nobody was shown them. */
  lost(unseen: number): void {
    this.link = undefined
    this.outstanding += unseen
    if (this.draining) this.drained(this.outstanding)
  }

  /** There will be no other link: nobody is left waiting. */
  end(): void {
    this.ended = true
    this.draining?.(0)
    this.draining = undefined
    for (const next of this.waiting.splice(0)) if (typeof next === 'function') next(0)
  }
}
