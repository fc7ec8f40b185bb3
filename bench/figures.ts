import type { Row, Unit } from './rows.ts'
import { describeMachine, round3, type Summary, summarize } from './statistics.ts'

/** What is said of a row. */
type Named = Pick<Row, 'name' | 'unit' | 'units'>

interface Figure {
  readonly row: Named
  readonly part: string
  readonly values: number[]
}

/** What the rows of a benchmark have measured, round for round. */
export class Figures {
  private readonly figures: Map<string, Figure> = new Map()

  note(row: Named, measured: Readonly<Record<string, number>>): void {
    for (const [part, value] of Object.entries(measured)) {
      const key = `${row.name} ${part}`
      const figure = this.figures.get(key) ?? { row, part, values: [] }
      figure.values.push(value)
      this.figures.set(key, figure)
    }
  }

  /** A figure of a row, the only one unless said otherwise, round for round; none: the row was left out. */
  values({ name }: Pick<Row, 'name'>, part = ''): readonly number[] {
    return this.figures.get(`${name} ${part}`)?.values ?? []
  }

  print(): void {
    const lines = this.byRow().map(({ row, part, values }) => ({
      name: part === '' ? row.name : `${row.name}, ${part}`,
      figure: format(summarize(values), unitOf(row, part)),
    }))
    const width = Math.max(...lines.map(({ name }) => name.length))
    for (const { name, figure } of lines) console.log(`${name.padEnd(width)}  ${figure}`)
  }

  report(): { readonly machine: string; readonly rows: readonly unknown[] } {
    return {
      machine: describeMachine(),
      rows: this.byRow().map(({ row, part, values }) => ({
        name: row.name,
        part,
        unit: unitOf(row, part),
        ...summarize(values),
        values,
      })),
    }
  }

  /** Rows in the order in which they came, also those of which a part came later than the first of the next row. */
  private byRow(): Figure[] {
    return [...Map.groupBy(this.figures.values(), ({ row }) => row.name).values()].flat()
  }
}

function unitOf({ unit, units }: Named, part: string): Unit {
  return units?.[part] ?? unit
}

function format({ median, min, max }: Summary, unit: Unit): string {
  const show = (value: number): string =>
    unit === 'msg/s' ? Math.round(round3(value)).toLocaleString('en') : String(round3(value))
  return `${show(median).padStart(12)} ${unit}  [${show(min)}, ${show(max)}]`
}
