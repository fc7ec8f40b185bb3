import type { Queue } from './queue.ts'

/** Queues that messages came into between two commits, and the newest of those messages. */
interface Step {
  /** By which a queue knows that it is in the list. */
  readonly number: number
  readonly queues: Queue[]
  lsn: number
}

/** Of all steps of all instances: a queue may have messages that wait for the one, and for the other. */
let steps = 0

/**
 * Which queues have messages that the store has still to take a step for. A queue is looked at when the step is taken that
 * one of its own messages waits for, not at every step while it has such messages: with thousands of queues at work, each
 * would be looked at several times for every message.
 */
export class Arrivals {
  private readonly steps: Step[] = []
  private last: Step | undefined
  /** The last step began when so much had been committed. */
  private committed = -1

  /** A message has come into the queue; `committed` is what the store has been given before it. */
  note(queue: Queue, lsn: number, committed: number): void {
    let { last } = this
    if (last === undefined || committed !== this.committed) {
      last = { number: ++steps, queues: [], lsn }
      this.last = last
      this.committed = committed
      this.steps.push(last)
    }
    if (lsn > last.lsn) last.lsn = lsn
    if (queue.step === last.number) return
    queue.step = last.number
    last.queues.push(queue)
  }

  /** Calls `use` with each queue, a message of which waited for the store to come as far as `lsn`, or less. */
  reached(lsn: number, use: (queue: Queue) => void): void {
    const { steps } = this
    let done = 0
    while (done < steps.length && steps[done]!.lsn <= lsn) {
      for (const queue of steps[done]!.queues) use(queue)
      done++
    }
    if (done === 0) return
    if (done === steps.length) this.last = undefined
    steps.splice(0, done)
  }
}
