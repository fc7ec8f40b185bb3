import { parentPort } from 'node:worker_threads'
import { type Report, simulate } from '../../src/testing/index.ts'

/** One seed's outcome, as it goes from thread to thread. */
export interface Outcome {
  readonly seed: number
  readonly report: Pick<Report, 'counts' | 'faults'>
  readonly failure: { readonly message: string; readonly events: readonly string[] } | undefined
}

parentPort?.on('message', (seed: number) => {
  void run(seed).then((outcome) => parentPort?.postMessage(outcome))
})

async function run(seed: number): Promise<Outcome> {
  const { report, failure } = await simulate({ seed })
  const { counts, faults } = report
  if (failure === undefined) return { seed, report: { counts, faults }, failure: undefined }
  const message = failure.error.stack ?? failure.error.message
  return { seed, report: { counts, faults }, failure: { message, events: failure.events } }
}
