import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { suite, test } from 'node:test'
import { type Curve, medianCurve } from '../../bench/curves.ts'
import { barChart } from '../../bench/report/bars.ts'
import type { BacklogFile, CurvesFile, FiguresFile, FileRow } from '../../bench/report/figures-file.ts'
import { goalsTable, type Measured } from '../../bench/report/goals.ts'
import { replaceSection, sectionOf } from '../../bench/report/report.ts'

function row(
  name: string,
  part: string,
  unit: string,
  [min, median, max]: [number, number, number],
): FileRow {
  return { name, part, unit, median, min, max, rounds: 7, values: [min, median, max] }
}

function brokers(...names: string[]): NonNullable<FiguresFile['brokers']> {
  return names.map((name) => ({ name, version: '1.2', durability: 'fsync', client: 'amqp', duplicates: 0 }))
}

const comparison: FiguresFile = {
  machine: 'Node v24, 2 × Processor',
  brokers: brokers('Millrace', 'Hare', 'Tortoise'),
  rows: [
    row('Millrace', '', 'msg/s', [90_000, 100_000, 110_000]),
    row('Millrace', 'generator CPU', '%', [80, 92, 99]),
    row('Millrace', 'end to end at 1 k/s, p99', 'ms', [1, 2, 3]),
    row('Hare', '', 'msg/s', [19_000, 20_000, 21_000]),
    row('Hare', 'generator CPU', '%', [20, 30, 40]),
    row('Hare', 'end to end at 1 k/s, p50', 'ms', [2, 3, 4]),
    row('Hare', 'end to end at 1 k/s, p99', 'ms', [7, 8, 9]),
    row('Tortoise', '', 'msg/s', [400, 500, 600]),
  ],
  lost: { 'Tortoise, end to end at 1 k/s': 7, 'Hare, end to end at 1 k/s': 2 },
  left: [{ name: 'Achilles', why: 'not here: apt-get install achilles\nand more' }],
}

/** The cells of the lines that begin with a name, table after table. */
function linesOf(text: string, name: string): string[][] {
  return text
    .split('\n')
    .filter((line) => line.startsWith(`| ${name} |`))
    .map((line) => line.slice(2, -2).split(' | '))
}

suite('tables of benchmarks', () => {
  test('rows have their median, their interval and their unit', () => {
    const { text, pictures } = sectionOf(
      'bench',
      {
        machine: 'Node v24, 2 × Processor',
        rows: [
          row('AMQP', '', 'msg/s', [1234.5, 51_649, 63_100]),
          row('AMQP', 'broker CPU', 'µs/msg', [1, 20.64, 30]),
        ],
      },
      'benchmarks',
    )
    assert.match(text, /^Node v24, 2 × Processor, 7 rounds\.$/m)
    assert.match(text, /^\| AMQP \| 51,600 \| 1,230 \| 63,100 \| msg\/s \|$/m)
    assert.match(text, /^\| AMQP, broker CPU \| 20\.6 \| 1 \| 30 \| µs\/msg \|$/m)
    assert.equal(pictures.size, 0)
  })

  test('brokers stand beside each other, with what is confirmed, and ours as a multiple of theirs', () => {
    const { text } = sectionOf('peers', comparison, 'benchmarks')
    const [who, throughput, latency, ratio] = linesOf(text, 'Hare')
    assert.deepEqual(who, ['Hare', '1.2', 'fsync', 'amqp'])
    assert.deepEqual(throughput, ['Hare', '20,000 (19,000–21,000)', '30 (20–40)', '–', '–'])
    assert.deepEqual(latency, [
      'Hare',
      '3 (2–4), not held in 2 rounds',
      '8 (7–9), not held in 2 rounds',
      '–',
      '–',
    ])
    assert.deepEqual(ratio, ['Hare', '5 ×', '–', '0.25 ×', '–', '–', '–'])
  })

  test('a rate that was not held, a generator that was the limit and brokers that are not here are said', () => {
    const { text } = sectionOf('peers', comparison, 'benchmarks')
    assert.deepEqual(linesOf(text, 'Tortoise')[2], ['Tortoise', 'not held', 'not held', '–', '–'])
    assert.equal(linesOf(text, 'Millrace')[1]![1], '100,000 (90,000–110,000) ¹')
    assert.match(text, /^- Achilles: not here: apt-get install achilles$/m)
    assert.doesNotMatch(text, /artemis perf client`/)
  })
})

const backlog: BacklogFile = {
  machine: 'Node v24',
  remarks: ['Node v24', 'memory bound to 2048 MiB'],
  figures: (
    [
      ['one queue: start after a close', 0.5],
      ['one queue: start after a kill', 2],
      ['one queue: fill, all of it, resident at most', 400],
      ['one queue: drain, all of it, resident at most', 513],
      ['one queue: publish deep to empty', 0.9],
      ['one queue: drain deep to shallow', 0.8],
      ['many queues: drain all at once to one queue', 0.5],
      ['many queues: drain one after the other to one queue', 0.1],
    ] as const
  ).map(([name, value]) => ({ name, value, unit: '' })),
}

const growth: CurvesFile = {
  machine: 'Node v24',
  curves: [
    {
      title: 'Messages to many queues',
      of: 'queues',
      series: [
        {
          name: 'processor time',
          unit: 'µs/msg',
          points: [
            [100, 2],
            [1_000, 2.4],
          ],
        },
      ],
    },
    {
      title: 'Messages from many connections',
      of: 'connections',
      series: [
        {
          name: 'AMQP',
          unit: 'µs/msg',
          points: [
            [10, 10],
            [100, 45],
          ],
        },
        {
          name: 'TCP',
          unit: 'µs/msg',
          points: [
            [10, 2],
            [100, 7],
          ],
        },
      ],
    },
    {
      title: 'Deliveries to the subscribers',
      of: 'subscribers',
      series: ['engine, durable', 'embedded, durable', 'embedded, volatile'].map((name) => ({
        name,
        unit: 'deliveries/s',
        points: [[1_000, 500_000]],
      })),
    },
  ],
}

const measured: Measured = {
  backlog,
  growth,
  bench: {
    machine: 'Node v24',
    rows: [
      row('ground: append + fdatasync, one at a time', 'p99', 'ms', [1, 1.5, 2]),
      row('embedded: disk, 100 B, one by one', '', 'msg/s', [300_000, 399_000, 500_000]),
      row('embedded: disk, 100 B, in batches', '', 'msg/s', [300_000, 400_000, 500_000]),
      row('a queue in SQLite, synchronous FULL, 100 B, in batches', '', 'msg/s', [60_000, 80_000, 100_000]),
      row('a queue in LevelDB, sync, 100 B, in batches', '', 'msg/s', [30_000, 40_000, 50_000]),
      row('AMQP: disk, 100 B, our client', '', 'msg/s', [100_000, 200_000, 300_000]),
      row('AMQP: disk, 100 B, our client', 'broker CPU', 'µs/msg', [4, 5, 6]),
      row('AMQP: disk, 100 B, rhea', '', 'msg/s', [10_000, 20_000, 30_000]),
      row('AMQP: disk, 100 B, rhea', 'broker CPU', 'µs/msg', [20, 30, 40]),
      row('AMQP: disk, 100 B, rhea', 'client CPU', 'µs/msg', [30, 39, 40]),
      row('embedded: disk, 100 B, end to end at 10 k/s', 'p99', 'ms', [3, 4, 5]),
      row('AMQP: disk, 100 B, end to end at 10 k/s', 'p99', 'ms', [5, 6, 7]),
    ],
  },
  peers: {
    machine: 'Node v24',
    brokers: brokers('Millrace', 'RabbitMQ, classic queue'),
    rows: [
      row('Millrace', '', 'msg/s', [60_000, 100_000, 120_000]),
      row('Millrace', 'broker CPU', 'µs/msg', [5, 6, 7]),
      row('Millrace', 'end to end at 10 k/s, p99', 'ms', [4, 5, 6]),
      row('RabbitMQ, classic queue', '', 'msg/s', [10_000, 20_000, 30_000]),
      row('RabbitMQ, classic queue', 'broker CPU', 'µs/msg', [50, 60, 70]),
    ],
  },
}

suite('the table of what the design asks for', () => {
  const cells = (what: string): string[] => linesOf(goalsTable(measured), what)[0]!

  test('a must is reached or not, by the median, at the bound too', () => {
    const reached = (what: string): string => cells(what).at(-1)!
    assert.equal(reached('embedded, one by one'), '**no**')
    assert.equal(reached('AMQP 1.0 over TCP, our client'), 'yes')
    assert.equal(reached('embedded, in batches'), '–')
    assert.equal(reached("somebody else's client (rhea)"), '**no**')
    assert.equal(reached('p99 end to end at 10 k/s'), 'yes')
    assert.equal(reached('backlog in one queue'), '**no**')
    assert.equal(reached('many queues with a backlog, drained'), 'yes')
    assert.equal(reached('1,000 queues'), 'yes')
    assert.equal(reached('100 connections'), '**no**')
    assert.equal(reached('1,000 subscribers'), 'yes')
  })

  test('others stand beside ours with version, durability and the quotients of the rounds', () => {
    const [, , , ours, beside] = cells('AMQP 1.0 over TCP, our client')
    assert.equal(ours, '200,000 [100,000, 300,000]/s; beside the others 100,000 [60,000, 120,000]/s')
    assert.equal(beside, 'RabbitMQ, classic queue 1.2 (fsync) 20,000 [10,000, 30,000]/s: 5 × [4, 6]')
    assert.match(cells('p99 end to end at 10 k/s')[4]!, /does not hold the rate/)
  })

  test('a row that nobody has measured is said', () => {
    const without = { ...measured, bench: { ...measured.bench, rows: measured.bench.rows.slice(2) } }
    assert.throws(() => goalsTable(without), /lack 'embedded: disk, 100 B, one by one'/)
  })
})

suite('curves and backlogs on the page', () => {
  test('a curve has a column for each x, and its pictures are linked to', () => {
    const { text, pictures } = sectionOf('growth', growth, 'benchmarks')
    assert.match(text, /^\| connections \| 10 \| 100 \|$/m)
    assert.match(text, /^\| TCP, µs\/msg \| 2 \| 7 \|$/m)
    assert.ok(pictures.size >= 3)
    for (const file of pictures.keys()) assert.ok(text.includes(`](benchmarks/${file})`))
  })

  test('of a curve that was measured several times each point is the median, and the page says of how many', () => {
    const curve = (at10: number, at100: number): Curve => ({
      title: 'Messages',
      of: 'queues',
      series: [
        {
          name: 'time',
          unit: 'µs',
          points: [
            [10, at10],
            [100, at100],
          ],
        },
      ],
    })
    const median = medianCurve([curve(1, 30), curve(3, 10), curve(2, 20)])
    assert.deepEqual(median.series[0]!.points, [
      [10, 2],
      [100, 20],
    ])
    const { text } = sectionOf('growth', { ...growth, rounds: 3 }, 'benchmarks')
    assert.match(text, /, medians of 3 rounds\.$/m)
  })

  test('figures of a backlog stand with what is wanted', () => {
    const { text } = sectionOf('backlog', backlog, 'benchmarks')
    assert.match(text, /^- memory bound to 2048 MiB$/m)
    assert.match(text, /^\| one queue: start after a kill \| 2 \| {2}\| {2}\|$/m)
  })
})

suite('pictures of benchmarks', () => {
  test('there is one for each figure that somebody has, and the page links to it', () => {
    const { text, pictures } = sectionOf('peers', comparison, 'benchmarks')
    assert.deepEqual([...pictures.keys()], ['peers-throughput.svg', 'peers-latency-1k.svg'])
    for (const file of pictures.keys()) assert.ok(text.includes(`](benchmarks/${file})`))
  })

  test('bars are as long as what they show, ours is told apart, names are text', () => {
    const bars = [
      { name: 'a & <b>', median: 100, min: 100, max: 100, ours: true },
      { name: 'c', median: 25, min: 20, max: 50, ours: false },
    ]
    const svg = barChart('Rates', bars)
    const widths = [...svg.matchAll(/<rect( class="ours")? x="190" y="\d+" width="([\d.]+)"/g)]
    assert.deepEqual(
      widths.map(([, ours, width]) => [ours !== undefined, Number(width)]),
      [
        [true, 410],
        [false, 102.5],
      ],
    )
    assert.deepEqual(
      [...svg.matchAll(/<line class="interval" x1="([\d.]+)" x2="([\d.]+)"/g)].map(([, a, b]) => [a, b]),
      [
        ['600', '600'],
        ['272', '395'],
      ],
    )
    assert.ok(svg.includes('>a &#38; &#60;b&#62;</text>'))
    assert.ok(svg.includes('prefers-color-scheme: dark'))
  })
})

suite('sections of the page', () => {
  const page = 'before\n<!-- figures: peers -->\nold\n<!-- end of figures: peers -->\nafter\n'

  test('one is replaced and nothing else, however often', () => {
    const once = replaceSection(page, 'peers', 'new $& figures')
    assert.equal(
      once,
      page.replace('old', () => 'new $& figures'),
    )
    assert.equal(replaceSection(once, 'peers', 'new $& figures'), once)
  })

  test('one that the page does not have is said', () => {
    assert.throws(() => replaceSection(page, 'bench', ''), /no '<!-- figures: bench -->'/)
    const reversed = '<!-- end of figures: peers -->\n<!-- figures: peers -->\n'
    assert.throws(
      () => replaceSection(reversed, 'peers', ''),
      /with '<!-- end of figures: peers -->' after it/,
    )
  })

  test('the page of the benchmarks has those that there are commands for', () => {
    const real = readFileSync(new URL('../../docs/benchmarks.md', import.meta.url), 'utf8')
    for (const name of ['goals', 'bench', 'peers', 'latency', 'growth', 'backlog', 'thread'])
      assert.match(replaceSection(real, name, 'CHANGED'), /\nCHANGED\n/)
  })
})
