/** Before this nobody has begun to wonder. Milliseconds. */
const PATIENCE = 500
const INTERVAL = 100
const WIDTH = 24

export type Terminal = Pick<NodeJS.WriteStream, 'isTTY' | 'write'>

/** How far a long input has got, on one line of a terminal; nothing where there is no terminal. */
export class Progress {
  private readonly terminal: Terminal
  /** Bytes of the whole input, when known. */
  private readonly total: number | undefined
  private readonly now: () => number
  private readonly began: number
  private shownAt: number
  private shown = false

  constructor(terminal: Terminal, total: number | undefined, now: () => number = () => performance.now()) {
    this.terminal = terminal
    this.total = total
    this.now = now
    this.began = now()
    this.shownAt = this.began + PATIENCE - INTERVAL
  }

  update(messages: number, bytes: number): void {
    const now = this.now()
    if (!this.terminal.isTTY || now - this.shownAt < INTERVAL) return
    this.shownAt = now
    this.shown = true
    const rate = Math.round((messages / (now - this.began)) * 1_000)
    const text = `${messages.toLocaleString('en')} messages, ${rate.toLocaleString('en')}/s`
    this.terminal.write(`\r\x1b[K${this.bar(bytes)}${text}`)
  }

  private bar(bytes: number): string {
    if (!this.total) return ''
    const share = Math.min(1, bytes / this.total)
    const full = Math.round(share * WIDTH)
    const percent = `${Math.floor(share * 100)}`.padStart(3)
    return `[${'='.repeat(full)}${' '.repeat(WIDTH - full)}] ${percent} %  `
  }

  /** Takes the line away again. */
  end(): void {
    if (this.shown) this.terminal.write('\r\x1b[K')
  }
}
