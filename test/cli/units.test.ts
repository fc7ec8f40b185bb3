import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { readLines } from '../../src/cli/lines.ts'
import { nearest } from '../../src/cli/nearest.ts'
import { byteSize, table } from '../../src/cli/output.ts'
import { Progress } from '../../src/cli/progress.ts'
import { isMillraceError } from '../../src/index.ts'

async function* inPieces(bytes: Uint8Array, cuts: readonly number[]): AsyncGenerator<Uint8Array> {
  const ordered = cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b)
  let start = 0
  for (const end of [...ordered, bytes.length]) {
    yield bytes.subarray(start, end)
    start = end
  }
}

suite('lines of a stream', () => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 1e9)

  test('are the same however the stream is cut, and lose nothing', async () => {
    const text = fc
      .array(fc.constantFrom('a', 'é', '数', '\n', '\r', '\r\n', ''))
      .map((parts) => parts.join(''))
    await fc.assert(
      fc.asyncProperty(text, fc.array(fc.nat()), async (input, cuts) => {
        const expected = input
          .split('\n')
          .map((line, index, all) => (index < all.length - 1 ? line.replace(/\r$/, '') : line))
        if (expected.at(-1) === '') expected.pop()
        const lines: unknown[] = []
        for await (const { body } of readLines(inPieces(Buffer.from(input), cuts), 1_000)) lines.push(body)
        assert.deepEqual(lines, expected)
      }),
      { seed },
    )
  })

  test('longer than the limit are refused by number before they fill the memory', async () => {
    async function* endless(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('short\n')
      for (;;) yield Buffer.alloc(1_000, 'x')
    }
    await assert.rejects(
      async () => {
        for await (const line of readLines(endless(), 100_000)) assert.equal(line.body, 'short')
      },
      (error: Error) =>
        isMillraceError(error) && error.code === 'message-too-large' && error.message.startsWith('line 2 '),
    )
  })
})

suite('what was probably meant', () => {
  const words = ['send', 'receive', 'browse', 'queues', 'why', 'doctor', 'help']
  const cases: [typed: string, meant: string | undefined][] = [
    ['sned', 'send'],
    ['SEND', 'send'],
    ['recieve', 'receive'],
    ['queue', 'queues'],
    ['dcotor', 'doctor'],
    ['transmogrify', undefined],
    ['xyzzy', undefined],
  ]
  for (const [typed, meant] of cases)
    test(`${typed}: ${meant}`, () => assert.equal(nearest(typed, words), meant))
})

test('a table aligns numbers to the right and texts to the left', () => {
  assert.equal(
    table(
      ['NAME', 'N'],
      [
        ['a', 10],
        ['long', 9],
      ],
    ),
    'NAME   N\na     10\nlong   9',
  )
})

test('sizes are short', () => {
  assert.deepEqual([0, 1023, 1536, 150 * 1024, 64 * 1024 ** 2].map(byteSize), [
    '0 B',
    '1023 B',
    '1.5 KiB',
    '150 KiB',
    '64.0 MiB',
  ])
})

suite('progress', () => {
  function show(
    isTTY: boolean,
    total: number | undefined,
  ): { advance: (ms: number, bytes: number) => void; end: () => void; written: string[] } {
    const written: string[] = []
    let now = 0
    const terminal = { isTTY, write: (text: string) => written.push(text) > 0 }
    const progress = new Progress(terminal as ConstructorParameters<typeof Progress>[0], total, () => now)
    return {
      written,
      advance: (ms, bytes) => {
        now += ms
        progress.update(now * 2, bytes)
      },
      end: () => progress.end(),
    }
  }

  test('a short input shows nothing; a long one shows how far it got, then clears the line', () => {
    const short = show(true, 100)
    short.advance(100, 50)
    short.end()
    assert.deepEqual(short.written, [])

    const long = show(true, 100)
    long.advance(600, 50)
    long.advance(10, 60)
    long.end()
    assert.deepEqual(long.written, [
      '\r\u001b[K[============            ]  50 %  1,200 messages, 2,000/s',
      '\r\u001b[K',
    ])
  })

  test('where there is no terminal nothing is written', () => {
    const piped = show(false, 100)
    piped.advance(10_000, 50)
    piped.end()
    assert.deepEqual(piped.written, [])
  })
})
