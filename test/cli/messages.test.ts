import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { documents, Shell } from './support.ts'

suite('send and receive', { concurrency: 2 }, () => {
  test('what one process sent another receives, in order, and it is gone afterwards', async (t) => {
    const shell = new Shell(t)
    assert.equal(await shell.ok('send', 'orders', 'one', 'two', 'three'), '3 messages sent to orders\n')
    assert.equal(await shell.ok('receive', 'orders', '--count', '2'), 'one\ntwo\n')
    assert.equal(await shell.ok('receive', 'orders'), 'three\n')
    const empty = await shell.run('receive', 'orders')
    assert.deepEqual(
      { code: empty.code, stdout: empty.stdout, stderr: empty.stderr },
      { code: 3, stdout: '', stderr: '' },
    )
  })

  test('fewer messages than --count: they are printed, and the exit code is 3', async (t) => {
    const shell = new Shell(t)
    await shell.ok('send', 'q', 'a')
    const { code, stdout } = await shell.run('receive', 'q', '--count', '2', '--timeout', '20ms')
    assert.deepEqual({ code, stdout }, { code: 3, stdout: 'a\n' })
  })

  test('each line of standard input is a message, byte for byte', async (t) => {
    const shell = new Shell(t)
    const input = Buffer.concat([
      Buffer.from('plain\n\nwindows\r\nnaïve 数据 🌾\n'),
      Buffer.from([0xff, 0x00, 0xfe, 0x0a]),
      Buffer.from('no end'),
    ])
    const sent = await shell.feed(input, 'send', 'q')
    assert.equal(sent.stdout, '6 messages sent to q\n')
    const kinds = documents(await shell.ok('browse', 'q', '--json')).map(({ bodyKind, body }) => [
      bodyKind,
      body,
    ])
    assert.deepEqual(kinds, [
      ['text', 'plain'],
      ['text', ''],
      ['text', 'windows'],
      ['text', 'naïve 数据 🌾'],
      ['bytes', '/wD+'],
      ['text', 'no end'],
    ])
  })

  test('--file -, and bodies behind --', async (t) => {
    const shell = new Shell(t)
    await shell.feed('a\n', 'send', 'q', '--file', '-')
    await shell.okHere('send', 'q', '--', '-5', '--json')
    assert.equal(await shell.okHere('receive', 'q'), 'a\n-5\n--json\n')
  })

  test('a file of 20,000 lines comes out as it went in', async (t) => {
    const shell = new Shell(t)
    const text = Array.from(
      { length: 20_000 },
      (_, index) => `line ${index} ${'x'.repeat(index % 100)}\n`,
    ).join('')
    writeFileSync(join(shell.folder, 'lines.txt'), text)
    assert.equal(await shell.ok('send', 'q', '--file', 'lines.txt'), '20,000 messages sent to q\n')
    assert.equal(digest(await shell.ok('receive', 'q')), digest(text))
  })

  test('priority, ttl, properties and durability arrive', async (t) => {
    const shell = new Shell(t)
    await shell.okHere('send', 'q', 'low', '--priority', '1', '--ttl', '1h')
    await shell.okHere(
      'send',
      'q',
      'high',
      '--priority=9',
      '--property',
      'n=5',
      '--property',
      'big=9007199254740993',
    )
    await shell.okHere(
      'send',
      'q',
      'bodies',
      '--durability',
      'os',
      '--property',
      's="5"',
      '--property',
      'b=true',
    )
    const [high, bodies, low] = documents(await shell.okHere('receive', 'q', '--json'))
    assert.deepEqual(
      [high!['body'], high!['priority'], high!['properties']],
      ['high', 9, { n: 5, big: '9007199254740993' }],
    )
    assert.deepEqual([bodies!['body'], bodies!['properties']], ['bodies', { s: '5', b: true }])
    const { timestamp, expiration } = low as { timestamp: string; expiration: string }
    assert.equal(Date.parse(expiration) - Date.parse(timestamp), 3_600_000)
  })

  test('a selector takes what it selects, in groups too, and leaves the rest', async (t) => {
    const shell = new Shell(t)
    for (const [body, n] of [
      ['a', '1'],
      ['b', '2'],
      ['c', '3'],
    ] as const)
      await shell.okHere('send', 'q', body, '--property', `n=${n}`, '--group', `g${n}`)
    const [taken] = documents(await shell.okHere('receive', 'q', '--selector', 'n = 2', '--json'))
    assert.deepEqual([taken!['body'], taken!['groupId']], ['b', 'g2'])
    assert.equal((await shell.here(shell.at, 'receive', 'q', '--selector', 'n > 3')).code, 3)
    assert.equal(await shell.okHere('receive', 'q'), 'a\nc\n')
    const { code, stderr } = await shell.here(shell.at, 'receive', 'q', '--selector', 'n >')
    assert.equal(code, 1)
    assert.match(stderr, /selector-invalid.*position 4/s)
  })

  test('what is delivered later is listed, the next one first, and can be cancelled', async (t) => {
    const shell = new Shell(t)
    const at = (year: number) => `${year}-01-31T08:00:00Z`
    await shell.okHere('create', 'other')
    assert.equal((await shell.here(shell.at, 'scheduled')).code, 3)
    await shell.okHere('send', 'q', 'last', '--deliver-at', at(2199))
    const cron = [
      '--repeat-cron',
      '0 8 * * MON-FRI',
      '--repeat-timezone',
      'Europe/Berlin',
      '--deliver-at',
      at(2198),
    ]
    const [weekly] = documents(await shell.okHere('send', 'q', 'workdays', ...cron, '--json'))
    const every = ['--repeat-every', '90s', '--repeat-times', '5', '--repeat-until', at(2199)]
    await shell.okHere('send', 'q', 'often', '--delay', '7d', ...every)
    await shell.okHere('send', 'other', 'elsewhere', '--delay', '1h')
    assert.equal((await shell.here(shell.at, 'receive', 'q')).code, 3, 'nothing comes early')
    const lines = (await shell.okHere('scheduled')).trimEnd().split('\n')
    assert.match(lines[0]!, / other {2}ID:\S+$/)
    assert.match(lines[1]!, / q {2}ID:\S+ {2}every 90000 ms, 0 times so far$/)
    assert.match(lines[2]!, / q .* cron 0 8 \* \* MON-FRI Europe\/Berlin, 0 times so far$/)
    assert.match(lines[3]!, / 2199-01-31T08:00:00.000Z {2}q /)
    assert.equal(lines.length, 4)
    const [often, listed, last] = documents(await shell.okHere('scheduled', 'q', '--json'))
    assert.deepEqual(often!['repetition'], { every: 90_000, times: 5, until: Date.parse(at(2199)) })
    // The first workday from then on, at eight in Berlin.
    assert.deepEqual(
      [listed!['id'], listed!['due']],
      [weekly!['scheduleId'], Date.parse('2198-02-01T07:00:00Z')],
    )
    const ids = [weekly!['scheduleId'], last!['id']] as string[]
    assert.equal(await shell.okHere('cancel', ...ids), '2 messages cancelled\n')
    assert.equal((await shell.here(shell.at, 'cancel', ...ids)).code, 3)
    assert.equal(documents(await shell.okHere('scheduled', 'q', '--json')).length, 1)
  })

  test('what would repeat in two ways, or in none, and times that are none are refused', async (t) => {
    const shell = new Shell(t)
    for (const options of [
      ['--repeat-every', '1s', '--repeat-cron', '* * * * *'],
      ['--repeat-times', '3'],
      ['--repeat-every', '1s', '--repeat-timezone', 'UTC'],
      ['--deliver-at', 'tomorrow'],
      ['--deliver-at', '2027-13-01'],
    ])
      assert.equal((await shell.here(shell.at, 'send', 'q', 'x', ...options)).code, 2, options.join(' '))
    for (const options of [
      ['--repeat-cron', '61 * * * *'],
      ['--delay', '1s', '--deliver-at', '2199-01-01'],
    ]) {
      const { code, stderr } = await shell.here(shell.at, 'send', 'q', 'x', ...options)
      assert.equal(code, 1, options.join(' '))
      assert.match(stderr, /schedule-invalid/)
    }
  })

  test('level memory does not outlive the command, as it says', async (t) => {
    const shell = new Shell(t)
    await shell.ok('send', 'q', 'gone', '--durability', 'memory')
    assert.equal((await shell.run('receive', 'q')).code, 3)
  })

  test('--as json sends values; a line that is none is refused by its number', async (t) => {
    const shell = new Shell(t)
    const { code, stderr } = await shell.feed('{"a":1}\n[2]\n{\n4\n', 'send', 'q', '--as', 'json')
    assert.equal(code, 1)
    assert.match(stderr, /^millrace: message-invalid: message 3: .*\(2 messages confirmed\)\n$/)
    const bodies = documents(await shell.ok('browse', 'q', '--json')).map(({ body }) => body)
    assert.deepEqual(bodies, [{ a: 1 }, [2]])
    assert.equal(await shell.ok('receive', 'q'), '{"a":1}\n[2]\n')
  })

  test('--json prints a document per confirmed message', async (t) => {
    const sent = documents(await new Shell(t).okHere('send', 'q', 'a', 'b', '--json'))
    assert.deepEqual(
      sent.map(({ line }) => line),
      [1, 2],
    )
    for (const { messageId } of sent) assert.match(String(messageId), /^ID:/)
  })

  test('with --producer, sending the same file again stores only what is new', async (t) => {
    const shell = new Shell(t)
    await shell.feed('a\nb\n', 'send', 'q', '--producer', 'import')
    await shell.feed('a\nb\nc\n', 'send', 'q', '--producer', 'import')
    await shell.feed('a\n', 'send', 'q', '--producer', 'another')
    assert.equal(await shell.ok('receive', 'q'), 'a\nb\nc\na\n')
  })
})

suite('looking', { concurrency: 2 }, () => {
  test('browse prints id, state and body on one line each and takes nothing', async (t) => {
    const shell = new Shell(t)
    await shell.okHere('send', 'q', 'a', 'two\nlines \u001b[2J', '--priority', '4')
    const seen = await shell.okHere('browse', 'q')
    assert.match(seen, /^\d+ {2}ready {5}a\n\d+ {2}ready {5}two\\nlines \\u001b\[2J\n$/)
    assert.equal((await shell.okHere('browse', 'q', '--count', '1')).split('\n').length, 2)
    assert.equal((await shell.okHere('receive', 'q')).split('\n')[0], 'a')
    assert.equal((await shell.here('browse', 'q', shell.at)).code, 3)
  })

  test('queues lists what they hold, for people and as one document', async (t) => {
    const shell = new Shell(t)
    await shell.okHere('send', 'b', 'x')
    await shell.okHere('send', 'a', 'x', 'y')
    const text = await shell.okHere('queues')
    assert.match(text, /^QUEUE +MESSAGES .*\na +2 +2 +0 .*\nb +1 +1 +0 .* b\.dlq\n$/)
    const { queues } = JSON.parse(await shell.okHere('queues', '--json'))
    assert.deepEqual(
      queues.map(
        ({ name, messages, policy }: { name: string; messages: number; policy: { overflow: string } }) => [
          name,
          messages,
          policy.overflow,
        ],
      ),
      [
        ['a', 2, 'block'],
        ['b', 1, 'block'],
      ],
    )
  })
})

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
