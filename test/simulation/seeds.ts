import { Worker } from 'node:worker_threads'
import { Report } from '../../src/testing/index.ts'
import type { Outcome } from './worker.ts'

export interface Failure {
  readonly seed: number
  readonly message: string
  readonly events: readonly string[]
}

/** What came of many seeds. */
export interface Sweep {
  readonly report: Report
  readonly failures: readonly Failure[]
}

const WORKERS = 2

/** Simulates the seeds from `first` on, two at a time in threads of their own; `progress` hears of each. */
export async function sweep(first: number, count: number, progress?: (done: number) => void): Promise<Sweep> {
  const report = new Report()
  const failures: Failure[] = []
  let next = first
  let done = 0
  const take = (outcome: Outcome): void => {
    report.add(outcome.report)
    if (outcome.failure) failures.push({ seed: outcome.seed, ...outcome.failure })
    progress?.(++done)
  }
  const give = (): number | undefined => (next < first + count ? next++ : undefined)
  await Promise.all(Array.from({ length: Math.min(WORKERS, count) }, () => work(give, take)))
  return { report, failures: failures.toSorted((a, b) => a.seed - b.seed) }
}

function work(give: () => number | undefined, take: (outcome: Outcome) => void): Promise<void> {
  const worker = new Worker(new URL('./worker.ts', import.meta.url))
  return new Promise((resolve, reject) => {
    const feed = (): void => {
      const seed = give()
      if (seed !== undefined) worker.postMessage(seed)
      else void worker.terminate().then(() => resolve())
    }
    worker.on('message', (outcome: Outcome) => {
      take(outcome)
      feed()
    })
    worker.on('error', reject)
    feed()
  })
}

/** How to see a failure again, and what led to it. */
export function describe({ seed, message, events }: Failure): string {
  return [
    `seed ${seed}: ${message}`,
    ...events.map((line) => `    ${line}`),
    `  again: SEED=${seed} npm run test:simulation`,
  ].join('\n')
}
