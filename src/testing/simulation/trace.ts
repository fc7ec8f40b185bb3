const SIZE = 4096

/** The last events of a run, kept as they came and made into text only when somebody asks. */
export class Trace {
  private readonly ring: unknown[][] = []
  private next = 0

  add(...event: unknown[]): void {
    this.ring[this.next % SIZE] = event
    this.next++
  }

  /** The last `count` events, oldest first. */
  lines(count: number): string[] {
    const from = Math.max(0, this.next - Math.min(count, SIZE))
    const lines: string[] = []
    for (let at = from; at < this.next; at++) lines.push(this.ring[at % SIZE]!.map(textOf).join(' '))
    return lines
  }
}

function textOf(value: unknown): string {
  if (typeof value === 'number') return String(Math.round(value * 1000) / 1000)
  return typeof value === 'string' ? value : JSON.stringify(value)
}
