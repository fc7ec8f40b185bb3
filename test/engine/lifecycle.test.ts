import { strict as assert } from 'node:assert'
import { readFileSync } from 'node:fs'
import { suite, test } from 'node:test'
import {
  eventCode,
  events,
  isHeld,
  lifecycle,
  type State,
  StateCode,
  states,
  transition,
} from '../../src/engine/lifecycle.ts'

const final: readonly State[] = ['accepted', 'dead-lettered', 'expired', 'discarded']
/** States in which a message can begin: stored whole, as half, in a transaction, for later. */
const initial: readonly State[] = ['ready', 'prepared', 'pending', 'scheduled']

suite('the delivery lifecycle is a total table (DESIGN §3)', () => {
  test('every state answers every event, as the table says', () => {
    for (const state of states) {
      for (const event of events) {
        const to = lifecycle[state][event]
        const move = (): number => transition(StateCode[state], eventCode(event))
        if (to === 'never') assert.throws(move, /internal assertion/, `${event} in ${state}`)
        else assert.equal(move(), StateCode[to === 'stay' ? state : to], `${event} in ${state}`)
      }
    }
  })

  test('a final state is never left, and is held by no queue', () => {
    for (const state of states) {
      assert.equal(isHeld(StateCode[state]), !final.includes(state), state)
      if (!final.includes(state)) continue
      for (const event of events) assert.ok(['stay', 'never'].includes(lifecycle[state][event]), state)
    }
  })

  test('every state can be reached, and from every state that is held there is a way out', () => {
    const next = (state: State): State[] =>
      events.map((event) => lifecycle[state][event]).filter((to) => to !== 'stay' && to !== 'never')
    const reach = (from: readonly State[]): Set<State> => {
      const seen = new Set(from)
      for (const state of seen) for (const to of next(state)) seen.add(to)
      return seen
    }
    assert.deepEqual([...reach(initial)].sort(), [...states].sort())
    for (const state of states) {
      if (!isHeld(StateCode[state])) continue
      const reached = reach([state])
      for (const end of ['discarded', 'accepted'] as const) assert.ok(reached.has(end), `${state} → ${end}`)
    }
  })

  test('a consumer settles only what it holds', () => {
    for (const event of [
      'accept',
      'release',
      'fail',
      'reject',
      'connection-lost',
      'delivery-timeout',
    ] as const) {
      for (const state of states) {
        const to = lifecycle[state][event]
        if (state !== 'acquired') assert.ok(to === 'never' || to === 'stay', `${event} in ${state}`)
      }
    }
  })

  test('docs/spec/delivery-lifecycle.md shows the same table, cell by cell', () => {
    const page = readFileSync(new URL('../../docs/spec/delivery-lifecycle.md', import.meta.url), 'utf8')
    const rows = page.split('\n').filter((line) => line.startsWith('|'))
    const cells = rows.map((row) =>
      row
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    )
    const header = cells.findIndex(([first, second]) => first === 'event' && second === 'prepared')
    assert.ok(header >= 0)
    const columns = cells[header]!.slice(1)
    const shown = cells.slice(header + 2, header + 2 + events.length)
    assert.deepEqual(
      shown.map(([event]) => event),
      [...events],
    )
    const words = { never: '–', stay: 'stays' } as Record<string, string>
    for (const [event, ...row] of shown) {
      for (const [column, cell] of row.entries()) {
        const name = columns[column]!
        for (const state of name === 'settled' ? final : [name as State]) {
          const to = lifecycle[state][event as (typeof events)[number]]
          assert.equal(cell, words[to] ?? to, `${event} in ${state}`)
        }
      }
    }
  })
})
