import { shown } from './figures-file.ts'

export interface Bar {
  readonly name: string
  readonly median: number
  readonly min: number
  readonly max: number
  /** Ours, which is told apart. */
  readonly ours: boolean
}

const [WIDTH, BAR, GAP] = [720, 18, 10]
const FRAME = { left: 190, right: 120, top: 40, bottom: 12 }
/** On white and on black: text follows the reader's theme, bars are told apart on both. */
const style = `text { font: 12px system-ui, sans-serif; fill: #24292f } .title { font-size: 14px; font-weight: 600 }
rect { fill: #8a8f98 } .ours { fill: #3b82c4 } .interval { stroke: #24292f; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .interval { stroke: #e6edf3 } }`

/** A bar from 0 for each broker, with its interval; what has no bar is left out. */
export function barChart(title: string, bars: readonly Bar[]): string {
  const most = Math.max(...bars.map(({ max }) => max), Number.MIN_VALUE)
  const room = WIDTH - FRAME.left - FRAME.right
  const x = (value: number): number => round(FRAME.left + (value / most) * room)
  const height = FRAME.top + bars.length * (BAR + GAP) + FRAME.bottom
  const lines = bars.flatMap(({ name, median, min, max, ours }, index) => {
    const top = FRAME.top + index * (BAR + GAP)
    const [middle, text] = [top + BAR / 2, top + BAR - 5]
    return [
      `<text x="${FRAME.left - 8}" y="${text}" text-anchor="end">${escaped(name)}</text>`,
      `<rect${ours ? ' class="ours"' : ''} x="${FRAME.left}" y="${top}" width="${round(x(median) - FRAME.left)}" height="${BAR}" rx="2"/>`,
      `<line class="interval" x1="${x(min)}" x2="${x(max)}" y1="${middle}" y2="${middle}"/>`,
      `<text x="${x(Math.max(median, max)) + 8}" y="${text}">${shown(median)}</text>`,
    ]
  })
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escaped(title)}">`,
    `<style>${style}</style>`,
    `<text class="title" x="8" y="20">${escaped(title)}</text>`,
    ...lines,
    '</svg>\n',
  ].join('\n')
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`)
}
