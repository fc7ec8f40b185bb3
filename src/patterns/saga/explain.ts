import type { Context } from '../../client/context.ts'
import { type Explanation, explanation, inWords } from '../explain/explanation.ts'
import { factsOf } from '../explain/queue-facts.ts'
import type { Saga } from './saga.ts'

/** See Saga.explain. */
export async function explainSaga<State>(saga: Saga<State>, mq: Context): Promise<Explanation> {
  const { name, keep, steps } = saga
  const facts = await factsOf(mq, saga.queue)
  const bare = steps.filter(({ undo }) => !undo).map((step) => step.name)
  const endless = steps.filter(({ attempts }) => attempts === Number.POSITIVE_INFINITY)
  const untimed = steps.filter(({ limit }) => limit === undefined).map((step) => step.name)
  return explanation(`The saga ${name}: ${steps.map((step) => step.name).join(', ')}`, {
    lost: [
      'No step: the message of a step is settled, the next one sent and the status replaced in one commit of the broker, so that a saga has one message at any time, whatever crashes.',
      ...(mq.capabilities.lasting
        ? ['There is one copy: what the disk of the broker loses is lost.']
        : ['The broker keeps everything in memory: all sagas are lost when it ends.']),
      ...(bare.length > 0 ? [`What ${list(bare)} did is not taken back: there is no undo.`] : []),
      `The status of a saga that is done or undone expires after ${inWords(keep)}.`,
    ],
    duplicated: [
      'A step, when its process, its delivery or the commit is lost after it has had its effect: it runs again, with the same idempotencyKey and message id.',
      'A step that was repeated, or failed otherwise than at once and for good, may have been done although it is said to have failed: it is undone too, with the outcome unknown.',
      'A step that does not heed its signal may still be running while it is run again, or undone: `idempotent` refuses what it writes when it was run again, or undone through the same inbox.',
      ...startInWords(facts?.policy.deduplication),
    ],
    order: [
      `Of one saga one step at a time: forward ${list(steps.map((step) => step.name))}, back in the reverse order of those that were done.`,
      'Of several sagas in any order.',
    ],
    until: [
      'A start that has resolved is durable, and every hand-over from step to step.',
      ...steps
        .filter(({ attempts }) => attempts !== Number.POSITIVE_INFINITY)
        .map(({ name: step, attempts }) => `${step} is tried ${attempts} times, then the saga goes back.`),
      ...endless.map(({ name: step }) => `${step} is tried for ever: it does not go back because of that.`),
      'An undo that has been tried as often, or cannot succeed, leaves the saga stuck until somebody resumes it.',
      ...(untimed.length > 0
        ? [`Not bounded: ${list(untimed)} may take for ever, there is no timeout.`]
        : []),
    ],
  })
}

function startInWords(known: { readonly window: number; readonly count: number } | undefined): string[] {
  if (!known) return ['A saga that is started twice runs twice, as far as the broker tells.']
  const { window, count } = known
  return [
    `A saga that is started again with the same id runs once, within ${inWords(window)} and among the last ${count}; later it runs again, under the same message ids.`,
  ]
}

function list(names: readonly string[]): string {
  return names.join(', ')
}
