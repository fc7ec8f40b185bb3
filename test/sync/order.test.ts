import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { checkOrder, tokenOf } from './order.ts'
import { parseTrace } from './trace.ts'

const FILE = '/data/journal/0000000001.segment'
const DELAY = 0.02

/** Calls as strace writes them: one a millisecond, unless a line says when. */
function violations(...lines: string[]): readonly string[] {
  const trace = lines.map((line, index) => {
    const [, at, call] = /^(?:@(\d+) )?(.*)$/s.exec(line)!
    const time = (Number(at ?? index) / 1000).toFixed(6)
    const thread = /\bwrite\(1</.test(line) ? 100 : 101
    return `${thread} 10${time.padStart(10, '0')} ${call}`
  })
  return checkOrder(parseTrace(trace.join('\n')), DELAY).violations
}

const write = `pwritev(21<${FILE}>, [{iov_base="\\1${tokenOf(7)}", iov_len=12}], 1, 64) = 12 <0.000030>`
const sync = `fdatasync(21<${FILE}>) = 0 <0.000100>`
const delayed = `fdatasync(21<${FILE}>) = 0 (DELAYED) <0.000100>`
const failed = `fdatasync(21<${FILE}>) = -1 EIO (Input/output error) (INJECTED) <0.000100>`
const said = (line: string) => `write(1<pipe:[5]>, "${line}\\n", ${line.length + 1}) = 12 <0.000010>`

suite('the proof by strace finds', () => {
  test('nothing wrong with a confirm after the sync of its write', () => {
    assert.deepEqual(violations(write, sync, said('confirmed 7')), [])
    assert.deepEqual(violations(write, `@1 ${delayed}`, `@22 ${said('confirmed 7')}`), [])
    assert.deepEqual(
      violations(
        write,
        `fdatasync(21<${FILE}> <unfinished ...>`,
        said('ready'),
        '<... fdatasync resumed>) = 0 <0.001500>',
        said('confirmed 7'),
      ),
      [],
    )
    assert.deepEqual(violations(write, said('written 7')), [])
    assert.deepEqual(violations(said('accepting 7'), write, sync, said('accepted 7')), [])
  })

  const early: Record<string, string[]> = {
    'a confirm before its sync': [write, said('confirmed 7'), sync],
    'a confirm before its write': [said('confirmed 7'), write, sync],
    'a confirm of what was never written': [sync, said('confirmed 7')],
    'a confirm while the sync is under way': [
      write,
      `fdatasync(21<${FILE}> <unfinished ...>`,
      said('confirmed 7'),
      '<... fdatasync resumed>) = 0 <0.002500>',
    ],
    'a confirm within the time by which strace delays the return': [
      write,
      `@1 ${delayed}`,
      `@15 ${said('confirmed 7')}`,
    ],
    'a sync that began before the write had returned': [
      `pwritev(21<${FILE}>, [{iov_base="${tokenOf(7)}", iov_len=11}], 1, 64 <unfinished ...>`,
      sync,
      said('confirmed 7'),
    ],
    'a sync of another file': [write, sync.replace('0001.segment', '0002.segment'), said('confirmed 7')],
    'a confirm after a sync that failed': [write, failed, said('confirmed 7')],
    'a confirm after a failed sync was tried again': [write, failed, sync, said('confirmed 7')],
    'a part of the body that was not synced': [write, sync, write, said('confirmed 7')],
    'a file whose name was not made durable': [
      `openat(AT_FDCWD</>, "${FILE}", O_RDWR|O_CREAT|O_TRUNC, 0600) = 21<${FILE}> <0.000010>`,
      write,
      sync,
      said('confirmed 7'),
    ],
    'an answer of level os before the write': [said('written 7'), write],
    'an acknowledgement that resolves before its sync': [
      write,
      sync,
      said('accepting 7'),
      said('accepted 7'),
    ],
    'a write after a failed sync': [failed, write],
  }
  for (const [what, lines] of Object.entries(early)) {
    test(what, () => assert.equal(violations(...lines).length, 1))
  }

  test('data that strace has shortened', () => {
    const shortened = write.replace('", iov_len', '"..., iov_len')
    assert.throws(() => violations(shortened), /shortened/)
  })
})
