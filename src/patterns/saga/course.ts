import type { SagaMessage } from './message.ts'

/** What a course has to know of a step. */
export interface Station {
  readonly name: string
  readonly undo?: unknown
}

/** See Saga.resume. */
export type Decision = 'again' | 'done' | 'back'

type Next<State> = SagaMessage<State>

/** The order of the steps, there and back: what comes after a step has ended this way or that. Nothing but values. */
export class Course<State, Step extends Station> {
  private readonly steps: readonly Step[]

  constructor(steps: readonly Step[]) {
    this.steps = steps
  }

  /** Undefined: a program of another time knew it. */
  step(name: string): Step | undefined {
    return this.steps.find((step) => step.name === name)
  }

  begin(saga: string, id: string, state: State): Next<State> {
    const step = this.steps[0]!.name
    return { saga, id, step, direction: 'forward', status: 'running', state, done: [] }
  }

  /** The step was done, with this state as its result. */
  advanced(message: SagaMessage<State>, state: State): Next<State> {
    const done = [...message.done, message.step]
    const next = this.steps[this.steps.findIndex(({ name }) => name === message.step) + 1]
    return next ? { ...message, step: next.name, state, done } : { ...message, status: 'done', state, done }
  }

  /** The step cannot be done. `unsure`: it may have been, so that it is to be undone like those before it. */
  turned(message: SagaMessage<State>, error: string, unsure: boolean): Next<State> {
    const back = { ...message, direction: 'back', error } as const
    return unsure && this.step(message.step)?.undo
      ? { ...back, status: 'undoing', unsure }
      : this.backTo(back, message.done)
  }

  /** The step was undone, with this state as the result. */
  undone(message: SagaMessage<State>, state: State): Next<State> {
    const { unsure, ...rest } = message
    // One that nobody knew to be done is not among those that were.
    return this.backTo({ ...rest, state }, unsure ? message.done : message.done.slice(0, -1))
  }

  /** Goes back to the last of those done for which there is something to do. */
  private backTo(message: SagaMessage<State>, done: readonly string[]): Next<State> {
    // A step that is not known any more is one for somebody to look at, and not to be passed over.
    const isNothing = (name: string) => this.step(name) !== undefined && !this.step(name)?.undo
    const left = done.slice(0, done.findLastIndex((name) => !isNothing(name)) + 1)
    const step = left.at(-1)
    return step === undefined
      ? { ...message, status: 'undone', done: [] }
      : { ...message, status: 'undoing', step, done: left }
  }

  stuck(message: SagaMessage<State>, problem: string): Next<State> {
    return { ...message, status: 'stuck', problem }
  }

  /** What was to be done when it got stuck, word for word, so that whoever remembers the message knows it again. */
  resumed({ problem: _, ...message }: SagaMessage<State>): Next<State> {
    return { ...message, status: message.direction === 'forward' ? 'running' : 'undoing' }
  }

  /** As `resumed`, after somebody has looked at it. Undefined: nobody knows what comes after the step. */
  decided(message: SagaMessage<State>, what: Decision): Next<State> | undefined {
    const resumed = this.resumed(message)
    const isForward = message.direction === 'forward'
    switch (what) {
      case 'again':
        return resumed
      case 'back':
        return isForward ? this.turned(resumed, message.problem ?? 'given up', true) : resumed
      default:
        if (!isForward) return this.undone(resumed, message.state)
        return this.step(message.step) && this.advanced(resumed, message.state)
    }
  }
}
