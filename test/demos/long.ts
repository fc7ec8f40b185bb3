/** `npm run test:demos`: the scenarios of examples/, as `npm run demo -- NAME --json` runs them. SCALE: how large. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { root } from '../../tools/house/repository.ts'

const scale = process.env['SCALE'] ?? '1'

/** Where a scenario draws something. */
const picture = join(tmpdir(), `millrace-${process.pid}.svg`)

/** What it closes with. */
function play(name: string): Record<string, unknown> {
  const args = ['examples/main.ts', name, '--json', '--scale', scale, '--svg', picture]
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' })
  assert.equal(status, 0, `${stdout}${stderr}`)
  console.log(stdout.trimEnd())
  const report = JSON.parse(stdout.trimEnd().split('\n').at(-1)!)
  assert.deepEqual([report.scenario, report.ok], [name, true])
  return report
}

test('chat: who was away or was killed hears everything, once and in order', () => {
  const { lost, shownTwice, outOfOrder, kills, heard, said } = play('chat')
  assert.deepEqual(
    { lost, shownTwice, outOfOrder, kills },
    { lost: 0, shownTwice: 0, outOfOrder: 0, kills: 3 },
  )
  assert.ok(Number(heard) > Number(said), 'rooms have several members')
})

test('registration: everybody is greeted once each way, and queued nobody waits for it', () => {
  const { users, mails, texts, doubled, unsent, milliseconds } = play('registration')
  assert.deepEqual({ mails, texts, doubled, unsent }, { mails: users, texts: users, doubled: 0, unsent: 0 })
  const { serial, parallel, queued } = milliseconds as Record<string, { p50: number }>
  // Which of the two that wait for mail and text is quicker depends on what else the machine does.
  assert.ok(Math.min(serial!.p50, parallel!.p50) > queued!.p50, 'who waits for nobody is answered soonest')
})

test('orders: through outbox and inbox nothing is lost and nothing doubled, to the piece', () => {
  const { queued, copies, kills } = play('orders')
  const { lost, doubled, piecesOff } = queued as Record<string, number>
  assert.deepEqual({ lost, doubled, piecesOff, kills }, { lost: 0, doubled: 0, piecesOff: 0, kills: 9 })
  // As many as wait for the inventory.
  assert.ok(Number(copies) > 0 && Number(copies) <= 20, `${copies} copies`)
})

test('flash-sale: exactly as many are sold as there are, nobody gets two, everybody else is refused at the door', (t) => {
  t.after(() => rmSync(picture, { force: true }))
  const { buyers, pieces, sold, soldTwice, refused, left, unanswered, differing, kills, perSecond } =
    play('flash-sale')
  assert.deepEqual(
    { sold, soldTwice, unanswered, differing, kills },
    { sold: pieces, soldTwice: 0, unanswered: 0, differing: 0, kills: 3 },
  )
  assert.equal(Number(sold) + Number(refused) + Number(left), buyers)
  // Each till may begin with a few at once, also after it was started again.
  const { allowed, fastest } = perSecond as Record<string, number>
  assert.ok(fastest! <= 1.5 * allowed!, `${fastest} were sold within a second`)
  assert.match(readFileSync(picture, 'utf8'), /^<svg .*a till killed.*<\/svg>\n$/s)
})
