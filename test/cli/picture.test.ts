import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { type Course, draw } from '../../examples/flash-sale/picture.ts'

const begun = 1_700_000_000_000

/** Ten seconds of a queue that fills in one and is worked off in the others. */
function course(changes: Partial<Course> = {}): Course {
  const depths = Array.from({ length: 101 }, (_, i) => ({
    at: begun + i * 100,
    value: i < 10 ? i * 80 : Math.round(800 - ((i - 10) / 90) * 800),
  }))
  const told = Array.from({ length: 300 }, (_, i) => ({ at: begun + i * 10, value: 1 + (i % 40) }))
  const sold = Array.from({ length: 800 }, (_, i) => ({ at: begun + 1_000 + i * 11, value: 100 + i * 11 }))
  return { begun, depths, told, sold, kills: [{ at: begun + 5_000, what: 'the broker' }], ...changes }
}

/** Every point of a path or line. */
function points(text: string): [x: number, y: number][] {
  return [...text.matchAll(/(-?[\d.]+),(-?[\d.]+)/g)].map(([, x, y]) => [Number(x), Number(y)])
}

function lineOf(svg: string, name: string): [x: number, y: number][] {
  return points(new RegExp(`class="line ${name}" points="([^"]*)"`).exec(svg)![1]!)
}

suite('the picture of a flash sale', () => {
  test('has the deepest queue at its place and height, and the time of a kill', () => {
    const svg = draw(course())
    const outline = points(/class="depth" d="([^"]*)"/.exec(svg)![1]!)
    const [x, y] = outline.reduce((highest, point) => (point[1] < highest[1] ? point : highest))
    // 800 of 1,000, and one second of ten.
    assert.deepEqual([x, y], [70 + 740 / 10, 250 - 0.8 * 190])
    const [, at] = /class="kill" x1="([\d.]+)"/.exec(svg)!
    assert.equal(Number(at), 70 + 740 / 2)
  })

  test('has longer times higher, by powers of ten', () => {
    const svg = draw(course())
    const order = lineOf(svg, 'order')
    assert.ok(order.at(-1)![1] < order[0]![1], 'orders wait longer and longer')
    const [half, most] = [lineOf(svg, 'door half'), lineOf(svg, 'door')]
    for (const [i, [, y]] of half.entries()) assert.ok(y >= most[i]![1], 'half of them have waited less')
    const of = (value: number) => lineOf(draw(course({ told: [{ at: begun, value }] })), 'door')[0]![1]
    assert.deepEqual([of(0), of(1), of(10), of(100_000)], [510, 510, 472, 320])
  })

  test('is drawn within its bounds, also of next to nothing', () => {
    const nothing = { depths: [{ at: begun, value: 0 }], told: [], sold: [], kills: [] }
    for (const svg of [draw(course()), draw(course(nothing))]) {
      assert.doesNotMatch(svg, /NaN|Infinity|undefined/)
      const drawn = [...svg.matchAll(/ (?:d|points)="([^"]*)"/g)].flatMap(([, path]) => points(path!))
      for (const [x, y] of drawn) assert.ok(x >= 0 && x <= 960 && y >= 0 && y <= 560, `${x},${y}`)
    }
  })
})
