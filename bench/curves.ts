import { round3, summarize } from './statistics.ts'

export interface Series {
  readonly name: string
  readonly unit: string
  /** By rising x. */
  readonly points: readonly (readonly [x: number, y: number])[]
}

/** How something grows. Series of the same unit share a picture. */
export interface Curve {
  readonly title: string
  /** What x counts. */
  readonly of: string
  readonly series: readonly Series[]
}

const [WIDTH, HEIGHT] = [640, 360]
const FRAME = { left: 76, right: 16, top: 44, bottom: 52 }
const LINE = 18
/** Told apart by everybody, on white and on black. */
const COLOURS = ['#3b82c4', '#d9822b', '#2f9e6e', '#b5569b', '#8a8f98']
const style = `text { font: 12px system-ui, sans-serif; fill: #24292f } .axis { stroke: #8a8f98 } .grid { stroke: #8a8f98; opacity: .25 }
polyline { fill: none; stroke-width: 2 } .title { font-size: 14px; font-weight: 600 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } }`

/** Of a curve that was measured several times: at each point the median. */
export function medianCurve(rounds: readonly [Curve, ...Curve[]]): Curve {
  const [first] = rounds
  const series = first.series.map((one, index) => ({
    ...one,
    points: one.points.map(([x], at): readonly [number, number] => {
      const values = rounds.map((round) => round.series[index]!.points[at]![1])
      return [x, summarize(values).median]
    }),
  }))
  return { ...first, series }
}

/** A column for each x, a line of text for each series. */
export function curveTable({ title, of, series }: Curve): string {
  const xs = [...new Set(series.flatMap(({ points }) => points.map(([x]) => x)))].sort((a, b) => a - b)
  const lines = series.map(({ name, unit, points }) => {
    const values = new Map(points)
    return [
      unit === '' ? name : `${name}, ${unit}`,
      ...xs.map((x) => (values.has(x) ? shown(values.get(x)!) : '–')),
    ]
  })
  const all = [[of, ...xs.map((x) => x.toLocaleString('en'))], ...lines]
  const widths = all[0]!.map((_, column) => Math.max(...all.map((line) => line[column]!.length)))
  const aligned = all.map((line) =>
    line.map((cell, i) => (i === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[i]!))).join('  '),
  )
  return [title, ...aligned].join('\n')
}

/** A picture for each unit, by a name for its file: x in decades, y from 0. */
export function pictures(curve: Curve): Map<string, string> {
  const units = [...new Set(curve.series.map(({ unit }) => unit))]
  return new Map(
    units.map((unit) => [
      slug(units.length === 1 ? curve.title : `${curve.title} ${unit}`),
      lineChart(
        curve.title,
        curve.of,
        unit,
        curve.series.filter((one) => one.unit === unit),
      ),
    ]),
  )
}

function slug(text: string): string {
  return text
    .toLowerCase()
    .replace('µ', 'u')
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
}

function lineChart(title: string, of: string, unit: string, series: readonly Series[]): string {
  const points = series.flatMap((one) => one.points)
  const x = axis(FRAME.left, WIDTH - FRAME.right, decades(points.map(([at]) => at)))
  const y = axis(
    HEIGHT - FRAME.bottom,
    FRAME.top + LINE,
    steps(Math.max(...points.map(([, value]) => value))),
  )
  const bottom = HEIGHT - FRAME.bottom
  const lines = series.flatMap(({ name, points: own }, index) => {
    const colour = COLOURS[index % COLOURS.length]!
    const places = own.map(([at, value]) => [x.place(at), y.place(value)] as const)
    return [
      `<polyline stroke="${colour}" points="${places.map((place) => place.map(round3).join(',')).join(' ')}"/>`,
      ...places.map(([cx, cy]) => `<circle cx="${round3(cx)}" cy="${round3(cy)}" r="3" fill="${colour}"/>`),
      `<text x="${FRAME.left + index * 190}" y="${FRAME.top - 4}" style="fill: ${colour}">${escaped(name)}</text>`,
    ]
  })
  const marks = [
    ...x.marks.map(
      (mark) =>
        `<text x="${round3(x.place(mark))}" y="${bottom + LINE}" text-anchor="middle">${shown(mark)}</text>`,
    ),
    ...y.marks.flatMap((mark) => [
      `<line class="grid" x1="${FRAME.left}" x2="${WIDTH - FRAME.right}" y1="${round3(y.place(mark))}" y2="${round3(y.place(mark))}"/>`,
      `<text x="${FRAME.left - 6}" y="${round3(y.place(mark) + 4)}" text-anchor="end">${shown(mark)}</text>`,
    ]),
  ]
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escaped(title)}">`,
    `<style>${style}</style>`,
    `<text class="title" x="${FRAME.left}" y="18">${escaped(title)}${unit === '' ? '' : `, ${escaped(unit)}`}</text>`,
    ...marks,
    `<line class="axis" x1="${FRAME.left}" x2="${WIDTH - FRAME.right}" y1="${bottom}" y2="${bottom}"/>`,
    `<text x="${(FRAME.left + WIDTH - FRAME.right) / 2}" y="${HEIGHT - 12}" text-anchor="middle">${escaped(of)}</text>`,
    ...lines,
    '</svg>\n',
  ].join('\n')
}

interface Axis {
  readonly marks: readonly number[]
  place(value: number): number
}

/** `scale` turns a value into a share of the way from one end to the other. */
function axis(
  from: number,
  to: number,
  scale: { marks: readonly number[]; share(value: number): number },
): Axis {
  return { marks: scale.marks, place: (value) => from + (to - from) * scale.share(value) }
}

/** Powers of ten; 0 stands a decade before the first of them. */
function decades(values: readonly number[]): { marks: readonly number[]; share(value: number): number } {
  const positive = values.filter((value) => value > 0)
  const exponent = (value: number): number => Math.log10(value)
  const first = Math.floor(exponent(Math.min(...positive))) - (values.includes(0) ? 1 : 0)
  const last = Math.max(first + 1, Math.ceil(exponent(Math.max(...positive))))
  const marks = Array.from({ length: last - first + 1 }, (_, i) => 10 ** (first + i))
  if (values.includes(0)) marks[0] = 0
  return {
    marks,
    share: (value) => (value === 0 ? 0 : (exponent(value) - first) / (last - first)),
  }
}

/** From 0 in about five round steps. */
function steps(most: number): { marks: readonly number[]; share(value: number): number } {
  const raw = Math.max(most, Number.MIN_VALUE) / 5
  const power = 10 ** Math.floor(Math.log10(raw))
  const step = [1, 2, 5, 10].find((factor) => factor * power >= raw)! * power
  const count = Math.ceil(most / step)
  return {
    marks: Array.from({ length: count + 1 }, (_, i) => round3(i * step)),
    share: (value) => value / (count * step),
  }
}

function shown(value: number): string {
  if (Number.isNaN(value)) return '–'
  return round3(value).toLocaleString('en', { maximumSignificantDigits: 3 })
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`)
}
