/** When to look again: soon after something may have come, ever more rarely while nothing does. */
export class Pace {
  private readonly shortest: number
  private readonly longest: number
  private pause: number
  private woken = false
  private ended = false
  private wait: { readonly end: () => void; readonly due: number; readonly firm: boolean } | undefined

  constructor(shortest: number, longest: number) {
    this.shortest = shortest
    this.longest = longest
    this.pause = shortest
  }

  /** There is something: an idle wait ends at once, or the next one does not begin. */
  wake(): void {
    this.pause = this.shortest
    this.woken = true
    if (this.wait && !this.wait.firm) this.wait.end()
  }

  /** There will be something, perhaps: idle waits are short again. */
  expect(): void {
    this.pause = this.shortest
    if (this.wait && !this.wait.firm && this.wait.due > performance.now() + this.shortest) this.wait.end()
  }

  /** Something was found. */
  found(): void {
    this.pause = this.shortest
  }

  /** Resolves when it is time to look again. */
  async idle(): Promise<void> {
    if (!this.woken) {
      const { pause } = this
      this.pause = Math.min(pause * 2, this.longest)
      await this.sleep(pause, false)
    }
    this.woken = false
  }

  /** Resolves after this time, whatever comes: something does not work. */
  rest(time: number): Promise<void> {
    return this.sleep(time, true)
  }

  /** Nobody waits any more. */
  end(): void {
    this.ended = true
    this.wait?.end()
  }

  private sleep(time: number, firm: boolean): Promise<void> {
    if (this.ended) return Promise.resolve()
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer)
        this.wait = undefined
        resolve()
      }
      const timer = setTimeout(end, time)
      this.wait = { end, due: performance.now() + time, firm }
    })
  }
}
