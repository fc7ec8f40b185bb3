import assert from 'node:assert/strict'
import { once } from 'node:events'
import { suite, test } from 'node:test'
import { type Context, connect, embedded, queue } from '../../src/index.ts'
import { type Admission, Fence, type Gate, openGate } from '../../src/patterns/index.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { CrashableBroker } from './crashable.ts'

const briefly = { initial: 5, max: 20 }

/** Asks so many times at once; answers who was let in. */
async function rush(gate: Gate, askers: number): Promise<Admission[]> {
  const answers = await Promise.all(Array.from({ length: askers }, () => gate.enter()))
  return answers.filter((answer) => answer !== undefined)
}

function numbers(admissions: readonly Admission[]): number[] {
  return admissions.map(({ number }) => number).toSorted((a, b) => a - b)
}

/** 1, 2, 3, … */
function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i + 1)
}

suite('a gate', () => {
  test('lets in as many as there are places, in the order of asking, and answers the others at once', async () => {
    await using mq = await connect('memory:')
    await using gate = await openGate(mq, 'sale', { places: 5 })
    const answers = await Promise.all(Array.from({ length: 20 }, () => gate.enter()))
    assert.deepEqual(
      answers.map((answer) => answer?.number),
      [1, 2, 3, 4, 5, ...Array(15).fill(undefined)],
    )
    await answers[0]!.complete()
    await answers[0]!.complete()
    assert.equal(await gate.enter(), undefined, 'a place that was completed is used up')
    await answers[1]!.release()
    assert.equal(answers[1]!.signal.aborted, false, 'it was not lost')
    const next = await gate.enter()
    assert.equal(next?.number, 2)
    assert.ok(next.token > answers[1]!.token)
    await answers[0]!.release()
    await next.complete()
    await next.release()
    assert.equal(await gate.enter(), undefined, 'what was completed stays so')
    await answers[2]!.release()
    await answers[2]!.release()
    await assert.rejects(answers[2]!.complete(), { code: 'illegal-state' })
  })

  test('is set up once, whoever comes and however often; with other places it is another gate', async () => {
    await using mq = await connect('memory:')
    const gates = await Promise.all(Array.from({ length: 8 }, () => openGate(mq, 'sale', { places: 30 })))
    const admitted = await Promise.all(gates.map((gate) => rush(gate, 10)))
    assert.deepEqual(numbers(admitted.flat()), upTo(30))
    for (const admission of admitted.flat()) await admission.complete()
    const later = await openGate(mq, 'sale', { places: 30 })
    assert.equal(await later.enter(), undefined)
    await assert.rejects(openGate(mq, 'sale', { places: 31 }), { code: 'destination-conflict' })
    await assert.rejects(openGate(mq, 'sale', { places: 0 }), { code: 'argument-invalid' })
    await using other = await openGate(mq, 'tickets', { places: 1 })
    assert.equal((await other.enter())?.number, 1)
  })

  test('answers whoever asks, also those who ask while others are being answered', async () => {
    await using mq = await connect('memory:')
    await using gate = await openGate(mq, 'sale', { places: 3 })
    assert.equal((await rush(gate, 3)).length, 3)
    for (let steps = 0; steps < 12; steps++) {
      await gate.enter()
      // So many steps after the last answer: it is just leaving off to ask, or has.
      for (let step = 0; step < steps; step++) await Promise.resolve()
      assert.equal(await gate.enter(), undefined)
    }
  })

  test('has so many ask at once that no stack would hold them', async () => {
    await using mq = await connect('memory:')
    await using gate = await openGate(mq, 'sale', { places: 1_001 })
    assert.equal((await rush(gate, 130_000)).length, 1_001)
  })

  test('says by name that it has more places than one transaction takes', async () => {
    const provider = embedded({ maxTransactionOperations: 100 })
    await using mq = await connect('memory:small', { provider })
    await assert.rejects(openGate(mq, 'sale', { places: 100 }), { code: 'transaction-too-large' })
    await using gate = await openGate(mq, 'sale', { places: 99 })
    assert.equal((await rush(gate, 200)).length, 99)
  })

  test('gives back what a gate holds that is closed, and turns away who waits', async () => {
    await using mq = await connect('memory:')
    const gate = await openGate(mq, 'sale', { places: 2 })
    const held = await gate.enter()
    const waiting = gate.enter()
    waiting.catch(() => {})
    await gate.close()
    assert.equal(held?.signal.reason.code, 'lock-lost')
    await assert.rejects(held.complete(), { code: 'lock-lost' })
    await assert.rejects(waiting, { code: 'closed' })
    await assert.rejects(gate.enter(), { code: 'closed' })
    await held.release()
    await using next = await openGate(mq, 'sale', { places: 2 })
    assert.deepEqual(numbers(await rush(next, 3)), [1, 2])
  })

  test('keeps no place for somebody who does not wait any more', async () => {
    await using mq = await connect('memory:')
    await using gate = await openGate(mq, 'sale', { places: 1 })
    const aborter = new AbortController()
    const given = gate.enter({ signal: aborter.signal })
    aborter.abort(new Error('enough'))
    await assert.rejects(given, { message: 'enough' })
    await assert.rejects(gate.enter({ signal: aborter.signal }), { message: 'enough' })
    // At every step on the way: it may come when nobody waits for it any more.
    for (let turns = 0; turns < 20; turns++) {
      const late = new AbortController()
      const asked = gate.enter({ signal: late.signal }).then(
        (admission) => admission?.release(),
        () => {},
      )
      for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
      late.abort(new Error('enough'))
      await asked
      await gate.enter().then((admission) => admission?.release())
    }
    assert.equal((await gate.enter())?.number, 1)
  })

  test('ends with its queue', async () => {
    await using mq = await connect('memory:')
    const gate = await openGate(mq, 'sale', { places: 2 })
    const held = await gate.enter()
    await mq.management.delete('millrace.gate.sale')
    await assert.rejects(gate.closed, { code: 'destination-not-found' })
    assert.equal(held?.signal.reason.code, 'lock-lost')
    await assert.rejects(gate.enter(), { code: 'destination-not-found' })
    await mq.management.delete('millrace.gate.sale.register')
    await using anew = await openGate(mq, 'sale', { places: 3 })
    assert.equal((await rush(anew, 5)).length, 3)
  })

  test('has a token for everybody, also when an operator purges its register', async () => {
    await using mq = await connect('memory:')
    await using gate = await openGate(mq, 'sale', { places: 1 })
    const tokens: number[] = []
    for (let i = 0; i < 10; i++) {
      const admission = await gate.enter()
      tokens.push(admission!.token)
      await mq.management.purge('millrace.gate.sale.register')
      await admission!.release()
    }
    assert.deepEqual(
      tokens,
      [...new Set(tokens)].toSorted((a, b) => a - b),
    )
    const [report] = (await mq.management.queues()).filter(({ name }) => name.endsWith('.register'))
    assert.ok(report!.messages <= 1, 'nothing piles up')
  })

  test('says in words what it promises, also where nothing is kept', async () => {
    await using mq = await connect('memory:')
    await using gate = await openGate(mq, 'sale', { places: 7 })
    const { lost, until, text } = gate.explain()
    assert.match(text, /^The gate sale, with 7 places\n/)
    assert.match(lost.join(), /Everything, with the broker/)
    assert.match(until.join(), /millrace\.gate\.sale and millrace\.gate\.sale\.register/)
    const broker = await CrashableBroker.start(1)
    const lasting = await broker.connect()
    assert.match((await openGate(lasting, 'sale', { places: 7 })).explain().lost.join(), /No place/)
    await lasting.close()
    await broker.stop()
  })
})

suite('a gate of a served broker', () => {
  test('is one for all connections; the places of one that is cut off go to who asks next', async () => {
    const broker = await CrashableBroker.start(1)
    const url = await broker.serve()
    const programs = await Promise.all(upTo(4).map(() => connect(url, { reconnect: false })))
    const gates = await Promise.all(programs.map((mq) => openGate(mq, 'sale', { places: 100 })))
    const admitted = await Promise.all(gates.map((gate) => rush(gate, 500)))
    assert.deepEqual(numbers(admitted.flat()), upTo(100))
    const busiest = admitted.findIndex((each) => each.length > 0)
    const lost = admitted[busiest]!
    await programs[busiest]!.close()
    const others = gates.filter((_, i) => i !== busiest)
    const again = (await Promise.all(others.map((gate) => rush(gate, 50)))).flat()
    assert.deepEqual(numbers(again), numbers(lost))
    await Promise.all(programs.map((mq) => mq.close()))
    await broker.stop()
  })

  test('is the same after the broker was killed: completed places are gone, held ones are free', async () => {
    const broker = await CrashableBroker.start(1)
    const url = await broker.serve()
    const mq = await connect(url, { reconnect: briefly })
    const gate = await openGate(mq, 'sale', { places: 10 })
    const admitted = await rush(gate, 10)
    for (const admission of admitted.slice(0, 4)) await admission.complete()
    const held = admitted[4]!
    const fence = new Fence()
    fence.check(held.token)
    const lost = once(held.signal, 'abort')
    await broker.crash()
    // Asked while nobody is there: it waits.
    const again = rush(gate, 20)
    await lost
    assert.equal(held.signal.reason.code, 'lock-lost')
    assert.equal(held.signal.reason.cause.code, 'connection-lost')
    await assert.rejects(held.complete(), { code: 'lock-lost' })
    const admittedAgain = await again
    assert.deepEqual(numbers(admittedAgain), [5, 6, 7, 8, 9, 10])
    const next = admittedAgain.find(({ number }) => number === held.number)!
    assert.ok(next.token > held.token, `${next.token} after ${held.token}`)
    fence.check(next.token)
    assert.throws(() => fence.check(held.token), { code: 'token-stale' })
    const late = await openGate(mq, 'sale', { places: 10 })
    assert.equal(await late.enter(), undefined)
    await mq.close()
    await broker.stop()
  })

  test('closes in the time that it is given while the broker is away, and turns away who waits', async () => {
    for (const turns of [0, 4, 8, 12]) {
      const broker = await CrashableBroker.start(1, 2)
      const mq = await connect(await broker.serve(), { reconnect: briefly })
      const heard: string[] = []
      // But for an acknowledgement that was on its way.
      mq.on('error', ({ code }) => code === 'delivery-settled' || heard.push(code))
      const gate = await openGate(mq, 'sale', { places: 1 })
      const asked = gate.enter()
      const answered = asked.then(
        () => undefined,
        (error) => error.code,
      )
      // From before the place is asked for until after the token is.
      for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
      await broker.stop()
      await mq.close({ drain: 20 })
      assert.ok([undefined, 'closed'].includes(await answered), `after ${turns} turns`)
      assert.deepEqual(heard, [])
    }
  })

  test('turns away who waits for a broker that does not come back', async () => {
    const broker = await CrashableBroker.start(1)
    const mq = await connect(await broker.serve(), { reconnect: { initial: 50, max: 50, maxAttempts: 2 } })
    mq.on('error', () => {})
    const gate = await openGate(mq, 'sale', { places: 1 })
    const gone = once(mq, 'disconnected')
    await broker.stop()
    await gone
    await assert.rejects(gate.enter(), { code: 'connection-lost' })
    await assert.rejects(gate.closed, { code: 'connection-lost' })
    await mq.close()
  })

  test('keeps nothing of those who have left while the broker is away', async () => {
    const broker = await CrashableBroker.start(1)
    const mq = await connect(await broker.serve(), { reconnect: briefly })
    mq.on('error', () => {})
    const gate = await openGate(mq, 'sale', { places: 1 })
    const gone = once(mq, 'disconnected')
    await broker.stop()
    await gone
    const late = new AbortController()
    const asking = Array.from({ length: 1_000 }, () => gate.enter({ signal: late.signal }))
    late.abort(new Error('enough'))
    await Promise.allSettled(asking)
    const { waiting } = gate as unknown as { readonly waiting: ReadonlySet<unknown> }
    assert.equal(waiting.size, 0)
    await mq.close({ drain: 0 })
  })

  test('refuses nobody because nobody answered, and lets nobody in with a place that is lost', async () => {
    const broker = await CrashableBroker.start(1, 2)
    const mq = await connect(await broker.serve(), { reconnect: briefly })
    for (const turns of [0, 1, 2, 4, 7, 11, 16]) {
      await using gate = await openGate(mq, `sale-${turns}`, { places: 8 })
      const asking = Array.from({ length: 8 }, () => gate.enter())
      // From before the places are asked for until after they are given.
      for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
      await broker.crash()
      const admitted = await Promise.all(asking)
      const held = admitted.map((admission) => {
        assert.ok(admission, `refused after ${turns} turns`)
        return admission
      })
      await mq.declare(queue('anything'))
      const live = held.filter(({ signal }) => !signal.aborted)
      for (const admission of live) await admission.complete()
      assert.equal((await rush(gate, 9)).length, 8 - live.length, `after ${turns} turns`)
    }
    await mq.close()
    await broker.stop()
  })
})

/** What the places stand for: who has written it, with which token. */
interface Sold {
  readonly fences: Fence[]
  /** By number: tokens in the order of writing, each with its holder. */
  readonly written: [token: number, holder: Admission][][]
  readonly completed: Set<number>
  /** The connection was lost while it was used up: nobody knows. */
  readonly undecided: Set<number>
}

/** Programs that ask, write what they got, and use it up, give it back, or lose it. */
async function buy(gate: Gate, sold: Sold, until: AbortSignal, random: SeededRandom): Promise<void> {
  while (!until.aborted) {
    const admission = await gate.enter().catch(() => undefined)
    if (!admission) {
      await new Promise((resolve) => setTimeout(resolve, 1))
      continue
    }
    const { number, token } = admission
    for (let i = 0; i < 2; i++) {
      try {
        sold.fences[number]!.check(token)
        sold.written[number]!.push([token, admission])
      } catch {
        // Somebody else has it: this one has lost it, and will hear of that.
        if (!admission.signal.aborted) await once(admission.signal, 'abort')
        break
      }
      await new Promise((resolve) => setTimeout(resolve, random.next() * 4))
    }
    if (random.next() < 0.7) await admission.release().catch(() => {})
    else if (admission.signal.aborted) await assert.rejects(admission.complete(), { code: 'lock-lost' })
    else await useUp(admission, sold)
  }
}

async function useUp(admission: Admission, { completed, undecided }: Sold): Promise<void> {
  const { number } = admission
  try {
    await admission.complete()
  } catch {
    undecided.add(number)
    return
  }
  assert.ok(!completed.has(number), `place ${number} was used up twice`)
  completed.add(number)
}

test('through crashes of the broker every place has one who may write, is used up once, and none is lost', async () => {
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
  const random = new SeededRandom(seed)
  const broker = await CrashableBroker.start(seed, 4)
  const url = await broker.serve()
  const programs: Context[] = await Promise.all(upTo(4).map(() => connect(url, { reconnect: briefly })))
  for (const program of programs) program.on('error', () => {})
  const places = 40
  const sold: Sold = {
    fences: Array.from({ length: places + 1 }, () => new Fence()),
    written: Array.from({ length: places + 1 }, () => []),
    completed: new Set(),
    undecided: new Set(),
  }
  const end = new AbortController()
  // Opened while it is set up and the broker crashes.
  const opening = programs.map((mq) => openGate(mq, 'sale', { places }))
  await broker.crash()
  const gates = await Promise.all(opening)
  const buying = gates.flatMap((gate) => upTo(3).map(() => buy(gate, sold, end.signal, random)))
  const writes = (): number => sold.written.reduce((sum, each) => sum + each.length, 0)
  for (let crashes = 0; crashes < 4; crashes++) {
    const before = writes()
    while (writes() < before + 12 + (crashes % 3) && sold.completed.size < places)
      await new Promise((resolve) => setImmediate(resolve))
    await broker.crash()
  }
  end.abort()
  await Promise.all(buying)
  const left = new Set(numbers(await rush(gates[0]!, 2 * places)))
  for (const number of upTo(places)) {
    const isUsedUp = sold.completed.has(number)
    if (isUsedUp || !sold.undecided.has(number))
      assert.equal(left.has(number), !isUsedUp, `SEED=${seed}: place ${number}`)
  }
  for (const tokens of sold.written) {
    const rising = tokens.map(([token]) => token)
    assert.deepEqual(
      rising,
      rising.toSorted((a, b) => a - b),
      `SEED=${seed}`,
    )
    const holders = new Map(tokens)
    for (const [token, holder] of tokens) assert.equal(holders.get(token), holder, `SEED=${seed}: ${token}`)
  }
  await Promise.all(programs.map((mq) => mq.close()))
  await broker.stop()
})
