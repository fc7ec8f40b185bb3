import { quantile } from '../support/quantile.ts'

export interface Sample {
  /** Wall milliseconds. */
  readonly at: number
  readonly value: number
}

/** What is drawn of a sale. Milliseconds. */
export interface Course {
  readonly begun: number
  /** Orders in the queue. */
  readonly depths: Sample[]
  /** How long each buyer waited at the door, when it was over. */
  readonly told: readonly Sample[]
  /** How long each order took until it was sold, when it was. */
  readonly sold: readonly Sample[]
  readonly kills: { readonly at: number; readonly what: string }[]
}

const WIDTH = 960
const LEFT = 70
const RIGHT = 150
/** From the top of a panel to its foot. */
const PANEL = 190
const TOPS = [60, 320] as const

/** Values whose quantiles make one point of a line. Milliseconds. */
const SPAN = 250

/** Shortest and longest latency that is drawn. Milliseconds, powers of ten. */
const SHORTEST = 1
const DECADES = 5

/** Two panels over the same seconds: how many orders are in the queue; how long buyers and orders wait, by powers of ten. */
export function draw(course: Course): string {
  const last = Math.max(...[...course.depths, ...course.sold, ...course.told].map(({ at }) => at))
  const seconds = Math.max(1, Math.ceil((last - course.begun) / 1_000))
  const x = (at: number): number => LEFT + ((at - course.begun) / 1_000 / seconds) * (WIDTH - LEFT - RIGHT)
  const parts = [
    text(LEFT, 28, 'A flash sale: orders in the queue, and how long buyers wait', 'title'),
    ...depthPanel(course, x),
    ...course.kills.flatMap(({ at, what }, i) => kill(x(at), what, i)),
    ...latencyPanel(course, x),
    ...TOPS.flatMap((top) => secondsBelow(seconds, course.begun, x, top + PANEL)),
  ]
  const height = TOPS[1] + PANEL + 50
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}">
<style>
text { font: 13px sans-serif; fill: #444; stroke: #fff; stroke-width: 3px; paint-order: stroke }
.title { font-size: 17px; fill: #111 }
.end { text-anchor: end }
.middle { text-anchor: middle }
.grid { stroke: #e4e4e4 }
.foot { stroke: #888 }
.kill { stroke: #b3261e; stroke-dasharray: 4 4 }
.killed { fill: #b3261e }
.depth { fill: #9ec5e8; stroke: #1f6fb2; stroke-width: 1.5 }
.line { fill: none; stroke-width: 2 }
.half { stroke-dasharray: 5 3 }
.door { stroke: #2c7a3f }
.order { stroke: #8a4fa0 }
</style>
<rect width="100%" height="100%" fill="#fff"/>
${parts.join('\n')}
</svg>
`
}

type Across = (at: number) => number

function depthPanel({ depths, begun }: Course, x: Across): string[] {
  const [top] = TOPS
  const foot = top + PANEL
  const most = roundUp(Math.max(1, ...depths.map(({ value }) => value)))
  const y = (value: number): number => foot - (value / most) * PANEL
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) => share * most)
  const line = depths.map(({ at, value }) => `L${place(x(at))},${place(y(value))}`).join('')
  const end = depths.at(-1)?.at ?? begun
  return [
    text(LEFT, top - 8, 'orders in the queue'),
    ...ticks.flatMap((value) => level(y(value), String(value))),
    `<path class="depth" d="M${place(x(begun))},${foot}${line}L${place(x(end))},${foot}Z"/>`,
  ]
}

function latencyPanel(course: Course, x: Across): string[] {
  const top = TOPS[1]
  const y = (value: number): number =>
    top + PANEL - (Math.log10(Math.max(SHORTEST, value) / SHORTEST) / DECADES) * PANEL
  const decades = Array.from({ length: DECADES + 1 }, (_, i) => SHORTEST * 10 ** i)
  const line = (name: string, points: readonly Sample[]): string => {
    const drawn = points.map(({ at, value }) => `${place(x(at))},${place(y(value))}`).join(' ')
    return `<polyline class="line ${name}" points="${drawn}"/>`
  }
  const pair = (name: string, label: string, samples: readonly Sample[]): string[] => {
    const [most, half] = [0.99, 0.5].map((part) => overTime(samples, course.begun, part)) as [
      Sample[],
      Sample[],
    ]
    const [mostEnd, halfEnd] = [most.at(-1), half.at(-1)]
    if (!mostEnd || !halfEnd) return []
    const beside = x(mostEnd.at) + 8
    const height = y(mostEnd.value) + 4
    return [
      line(name, most),
      line(`${name} half`, half),
      text(beside, height, `${label}, 99 %`),
      // Not on top of the other.
      text(beside, Math.max(y(halfEnd.value) + 4, height + 15), `${label}, half`),
    ]
  }
  return [
    text(LEFT, top - 8, 'time that buyers and orders waited, of those whose wait ended then'),
    ...decades.flatMap((value) => level(y(value), value < 1_000 ? `${value} ms` : `${value / 1_000} s`)),
    ...pair('door', 'at the door', course.told),
    ...pair('order', 'until answered', course.sold),
  ]
}

/** One point for each span of time in which something ended. */
function overTime(samples: readonly Sample[], begun: number, part: number): Sample[] {
  const spans = Map.groupBy(samples, ({ at }) => Math.floor((at - begun) / SPAN))
  return [...spans]
    .toSorted(([a], [b]) => a - b)
    .map(([span, members]) => ({
      at: begun + (span + 0.5) * SPAN,
      value: quantile(
        members.map(({ value }) => value),
        part,
      ),
    }))
}

function level(y: number, label: string): string[] {
  return [
    `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${place(y)}" y2="${place(y)}"/>`,
    text(LEFT - 8, y + 4, label, 'end'),
  ]
}

function secondsBelow(seconds: number, begun: number, x: Across, foot: number): string[] {
  const step = Math.max(1, Math.ceil(seconds / 12))
  const marks = Array.from({ length: Math.floor(seconds / step) + 1 }, (_, i) => i * step)
  return [
    `<line class="foot" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${foot}" y2="${foot}"/>`,
    ...marks.map((second) => text(x(begun + second * 1_000), foot + 18, `${second} s`, 'middle')),
  ]
}

/** In both panels; what was killed is said in the upper one. */
function kill(x: number, what: string, index: number): string[] {
  const [top] = TOPS
  return [
    ...TOPS.map(
      (each) => `<line class="kill" x1="${place(x)}" x2="${place(x)}" y1="${each}" y2="${each + PANEL}"/>`,
    ),
    text(x + 5, top + 14 + (index % 2) * 16, `${what} killed`, 'killed'),
  ]
}

function text(x: number, y: number, words: string, name = ''): string {
  const named = name === '' ? '' : ` class="${name}"`
  return `<text x="${place(x)}" y="${place(y)}"${named}>${words}</text>`
}

function place(value: number): number {
  return Math.round(value * 10) / 10
}

/** The next number of one digit and zeros, or 2.5 of them. */
function roundUp(value: number): number {
  const unit = 10 ** Math.floor(Math.log10(value))
  return [1, 2, 2.5, 5, 10].map((times) => times * unit).find((each) => each >= value)!
}
