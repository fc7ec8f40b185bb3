import assert from 'node:assert/strict'
import { test } from 'node:test'
import { logOfJournal } from '../../src/server/journal-log.ts'
import type { Logger } from '../../src/server/log.ts'
import { folder, Served } from './support.ts'

type Line = readonly [level: string, facts: Record<string, unknown>]

function recorded(): { logger: Logger; lines: Line[] } {
  const lines: Line[] = []
  const at = (level: string) => (facts: object) => void lines.push([level, facts as Record<string, unknown>])
  return { logger: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }, lines }
}

test('a long start is told every two seconds and at its end; a short one is not', () => {
  const { logger, lines } = recorded()
  let now = 100
  const quick = logOfJournal(logger, () => now)
  quick.recovering(4, 10)
  now += 1_900
  quick.recovering(10, 10)
  assert.equal(lines.length, 0)
  const long = logOfJournal(logger, () => now)
  for (let bytes = 0; bytes <= 10; bytes++) {
    long.recovering(bytes, 10)
    now += 700
  }
  assert.deepEqual(
    lines.map(([level, { event, percent, milliseconds }]) => [level, event, percent, milliseconds]),
    [
      ['info', 'recovering', 30, 2_100],
      ['info', 'recovering', 60, 4_200],
      ['info', 'recovering', 90, 6_300],
      ['info', 'recovered', undefined, 7_000],
    ],
  )
})

test('the metrics of a server with a directory say what its journal has done', async (t) => {
  const served = await Served.start(t, { data: folder(t) })
  const { body } = await served.get('/metrics')
  for (const name of [
    'checkpoints_total',
    'checkpoint_bytes_total',
    'compactions_total',
    'compaction_read_bytes_total',
    'compaction_written_bytes_total',
    'compaction_pending_bytes',
  ]) {
    assert.match(body, new RegExp(`^millrace_${name} 0$`, 'm'))
  }
})
