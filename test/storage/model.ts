import { strict as assert } from 'node:assert'
import type { SeededRandom } from '../../src/testing/random.ts'
import type { Bench } from './support.ts'

/** What one operation did, so that the state after any prefix can be told. */
interface Step {
  readonly lsn: number
  readonly holds?: {
    readonly queues: readonly number[]
    readonly payload: string
    readonly chunks: readonly number[]
  }
  readonly releases?: { readonly queue: number; readonly lsns: readonly number[] }
}

interface Message {
  readonly queues: Set<number>
  readonly payload: string
  readonly chunks: readonly number[]
}

/** A script of random work against a journal, and what must be true of it at any time. */
export class Model {
  private readonly bench: Bench
  private readonly random: SeededRandom
  /** Everything since the last restart began from `base`. */
  private steps: Step[] = []
  private base = new Map<number, Message>()
  private readonly chunkText = new Map<number, string>()
  private now = new Map<number, Message>()
  private count = 0

  constructor(bench: Bench) {
    this.bench = bench
    this.random = bench.random
  }

  get held(): number {
    return this.now.size
  }

  /** One random piece of work, committed but not waited for. */
  work(): void {
    const { keeper, journal } = this.bench
    const pieces = this.random.between(1, 4)
    for (let i = 0; i < pieces; i++) {
      const kind = this.random.weighted({ publish: 5, settle: 4, replace: 1, chunked: 1, skip: 1, meta: 1 })
      if (kind === 'publish') this.publish(undefined, [])
      else if (kind === 'settle') this.settle()
      else if (kind === 'replace') this.deadLetter()
      else if (kind === 'chunked') this.publish(undefined, this.chunks())
      else if (kind === 'skip') keeper.skip(this.random.between(1, 3))
      else this.steps.push({ lsn: keeper.meta('meta') })
    }
    keeper.commit(journal)
  }

  /** Settles nearly everything, so that files become sparse. */
  drain(share: number): void {
    for (const [lsn, { queues }] of [...this.now]) {
      if (this.random.chance(share)) for (let i = queues.size; i > 0; i--) this.settleOne(lsn)
    }
    this.bench.keeper.commit(this.bench.journal)
  }

  /** After a restart: the state is that of a prefix of what was committed, and what was durable is in it. */
  async recovered(durableLsn: number): Promise<void> {
    const { report, keeper } = this.bench
    const reached = Math.max(report.lastLsn - 2 ** 20, 0)
    assert.ok(reached >= durableLsn, `reached ${reached}, durable was ${durableLsn}`)
    const state = this.stateAt(reached)
    assert.deepEqual(
      [...keeper.held].map(([lsn, queues]) => [lsn, [...queues].sort(byNumber)]).sort(byLsn),
      [...state].map(([lsn, { queues }]) => [lsn, [...queues].sort(byNumber)]).sort(byLsn),
    )
    assert.deepEqual(report.quarantined, [])
    this.base = copyOf(state)
    this.now = copyOf(state)
    this.steps = []
    await this.counted()
    await this.readable()
  }

  /** The store holds what some queue holds, and nothing else. */
  private async counted(): Promise<void> {
    const { journal } = this.bench
    const found = new Set<number>()
    for (const queue of [1, 2, 3, 4]) {
      const visit = (lsn: number) => void found.add(lsn)
      await this.bench.wait(
        new Promise<void>((resolve) => journal.scan(queue, 0, Number.MAX_SAFE_INTEGER, visit, resolve)),
      )
    }
    assert.deepEqual([...found].sort(byNumber), [...this.now.keys()].sort(byNumber))
  }

  /** Every message that is held can be read, through every queue that holds it, and is what was published. */
  async readable(): Promise<void> {
    for (const [lsn, { queues, payload, chunks }] of [...this.now]) {
      for (const queue of queues)
        assert.equal(await this.bench.payload(queue, lsn), payload, `message ${lsn}`)
      for (const chunk of chunks) {
        assert.equal(await this.bench.chunk(chunk), this.chunkText.get(chunk), `chunk ${chunk} of ${lsn}`)
      }
    }
  }

  /** A message leaves a queue for another one, and takes its chunks along. */
  private deadLetter(): void {
    const replaced = this.anyHeld()
    this.publish(replaced, replaced === undefined ? [] : this.now.get(replaced)!.chunks)
  }

  private publish(replaced: number | undefined, chunks: readonly number[]): void {
    const { keeper } = this.bench
    const queues = this.random.pick([[1], [2], [3], [4], [1, 2], [3, 4], [1, 2, 3]])
    const payload = chunks.length > 0 ? '' : `${this.count++} ${'p'.repeat(this.size())}`
    const from = replaced === undefined ? undefined : [...this.now.get(replaced)!.queues][0]!
    const lsn = keeper.publish(queues, payload, {
      ...(replaced === undefined ? {} : { replaces: [from!, replaced] as const }),
      ...(chunks.length > 0 ? { chunks } : {}),
    })
    this.record({
      lsn,
      holds: { queues, payload, chunks },
      ...(replaced === undefined ? {} : { releases: { queue: from!, lsns: [replaced] } }),
    })
  }

  private size(): number {
    return this.random.chance(0.05) ? this.random.between(1000, 20_000) : this.random.between(0, 300)
  }

  private chunks(): number[] {
    return Array.from({ length: this.random.between(1, 3) }, () => {
      const text = `chunk ${this.count++} ${'c'.repeat(this.random.between(0, 2000))}`
      const lsn = this.bench.keeper.chunk(text)
      this.chunkText.set(lsn, text)
      this.steps.push({ lsn })
      return lsn
    })
  }

  private settle(): void {
    for (let i = this.random.between(1, 6); i > 0; i--) {
      const lsn = this.anyHeld()
      if (lsn !== undefined) this.settleOne(lsn)
    }
  }

  private settleOne(lsn: number): void {
    const queue = this.random.pick([...this.now.get(lsn)!.queues])
    const by = this.bench.keeper.settle(queue, [lsn])
    this.record({ lsn: by, releases: { queue, lsns: [lsn] } })
  }

  private anyHeld(): number | undefined {
    return this.now.size === 0 ? undefined : this.random.pick([...this.now.keys()])
  }

  private record(step: Step): void {
    this.steps.push(step)
    perform(this.now, step)
  }

  private stateAt(lsn: number): Map<number, Message> {
    const state = copyOf(this.base)
    for (const step of this.steps) if (step.lsn <= lsn) perform(state, step)
    return state
  }
}

function perform(state: Map<number, Message>, { lsn, holds, releases }: Step): void {
  if (holds) state.set(lsn, { ...holds, queues: new Set(holds.queues) })
  for (const one of releases?.lsns ?? []) {
    const message = state.get(one)
    if (message?.queues.delete(releases!.queue) && message.queues.size === 0) state.delete(one)
  }
}

function copyOf(state: ReadonlyMap<number, Message>): Map<number, Message> {
  return new Map([...state].map(([lsn, message]) => [lsn, { ...message, queues: new Set(message.queues) }]))
}

function byNumber(a: number, b: number): number {
  return a - b
}

function byLsn(a: unknown[], b: unknown[]): number {
  return (a[0] as number) - (b[0] as number)
}
