/** Wrong passwords that a user may give from one address before the next try must wait. */
const AT_ONCE = 10
/** After so many milliseconds one more is forgiven. */
const FORGIVEN_EVERY = 6_000
/** Addresses and names that are remembered; whoever has more addresses than that is not stopped by counting them. */
const MOST = 10_000

interface Guesser {
  wrong: number
  since: number
}

/** Counts wrong passwords by address and user, so that nobody guesses quickly and nobody locks others out. */
export class Guesses {
  private readonly guessers = new Map<string, Guesser>()

  /** Whether another try may be made. Monotonic milliseconds. */
  allows(address: string, user: string, now: number): boolean {
    const guesser = this.guessers.get(keyOf(address, user))
    return guesser === undefined || settle(guesser, now) < AT_ONCE
  }

  /** A try was wrong. */
  count(address: string, user: string, now: number): void {
    const key = keyOf(address, user)
    const guesser = this.guessers.get(key) ?? { wrong: 0, since: now }
    settle(guesser, now)
    guesser.wrong++
    // The newest is last, and the oldest goes first.
    this.guessers.delete(key)
    this.guessers.set(key, guesser)
    if (this.guessers.size > MOST) this.guessers.delete(this.guessers.keys().next().value!)
  }

  forget(address: string, user: string): void {
    this.guessers.delete(keyOf(address, user))
  }
}

function keyOf(address: string, user: string): string {
  return `${address} ${user.slice(0, 256)}`
}

function settle(guesser: Guesser, now: number): number {
  const forgiven = Math.floor((now - guesser.since) / FORGIVEN_EVERY)
  guesser.wrong = Math.max(0, guesser.wrong - forgiven)
  guesser.since += forgiven * FORGIVEN_EVERY
  return guesser.wrong
}
