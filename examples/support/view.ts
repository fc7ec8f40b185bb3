/** What a scenario shows while it runs. */
export interface View {
  /** A line that stays. */
  note(text: string): void
  /** Lines that change in place, below those that stay. */
  show(lines: readonly string[]): void
  end(): void
}

/** With `--json` nothing but the last line is wanted. */
export const silent: View = { note: () => {}, show: () => {}, end: () => {} }

/** How often the lines that change are printed where they cannot be changed. Milliseconds. */
const REPEAT = 2_000

/** On a terminal the changing lines are drawn over; into a file they are printed from time to time. */
export class Screen implements View {
  private readonly out: NodeJS.WriteStream
  private drawn = 0
  private lines: readonly string[] = []
  private printed = 0

  constructor(out: NodeJS.WriteStream) {
    this.out = out
  }

  note(text: string): void {
    this.erase()
    this.out.write(`${text}\n`)
    this.draw()
  }

  show(lines: readonly string[]): void {
    this.lines = lines
    if (this.out.isTTY) {
      this.erase()
      this.draw()
    } else if (performance.now() - this.printed > REPEAT) {
      this.printed = performance.now()
      this.out.write(lines.map((line) => `  ${line}\n`).join(''))
    }
  }

  /** The last state stays. */
  end(): void {
    this.lines = []
    this.drawn = 0
  }

  private erase(): void {
    if (this.drawn > 0) this.out.write(`\x1b[${this.drawn}A\x1b[0J`)
    this.drawn = 0
  }

  private draw(): void {
    if (!this.out.isTTY || this.lines.length === 0) return
    const width = this.out.columns ?? 80
    this.out.write(this.lines.map((line) => `${line.slice(0, width - 1)}\n`).join(''))
    this.drawn = this.lines.length
  }
}

/** A row of blocks, as long as the share of the whole that it stands for. */
export function bar(value: number, whole: number, width = 30): string {
  const filled = whole <= 0 ? 0 : Math.round(Math.min(1, value / whole) * width)
  return '█'.repeat(filled) + '░'.repeat(width - filled)
}

/** Rows with columns of equal width: texts to the left; numbers, and what stands above them, to the right. */
export function table(rows: readonly (readonly (string | number)[])[]): string[] {
  const columns = rows[0]!.map((_, column) => ({
    width: Math.max(...rows.map((row) => String(row[column]).length)),
    isNumeric: rows.some((row) => typeof row[column] === 'number'),
  }))
  return rows.map((row) =>
    row
      .map((cell, column) => {
        const { width, isNumeric } = columns[column]!
        return isNumeric ? String(cell).padStart(width) : String(cell).padEnd(width)
      })
      .join('  ')
      .trimEnd(),
  )
}
