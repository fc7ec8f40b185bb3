import type { Context } from '../../src/index.ts'
import { PermanentError, type Saga, type SagaOptions, type SagaStep, saga } from '../../src/patterns/index.ts'

/** What the sagas of these tests are about. */
export interface Trip {
  readonly to: string
  readonly booked?: readonly string[]
  readonly at?: Date
}

type Doing = Partial<Omit<SagaStep<Trip>, 'name'>>

/** Three steps that note what they do; `doing` says otherwise of some of them. */
export function trip(
  doing: Readonly<Record<string, Doing>> = {},
  options?: SagaOptions,
): { readonly log: string[]; readonly trips: Saga<Trip> } {
  const log: string[] = []
  const steps = ['flight', 'hotel', 'car'].map((name): SagaStep<Trip> => {
    const { run, undo, ...rest } = doing[name] ?? {}
    return {
      name,
      run: async (state, context) => {
        log.push(name)
        const own = await run?.(state, context)
        return own ?? { ...state, booked: [...(state.booked ?? []), name] }
      },
      undo: async (state, context) => {
        log.push(`-${name}`)
        const own = await undo?.(state, context)
        return own ?? { ...state, booked: state.booked?.filter((booked) => booked !== name) ?? [] }
      },
      ...rest,
    }
  })
  return { log, trips: saga<Trip>('trip', steps, options) }
}

export function refuse(): never {
  throw new PermanentError('sold out')
}

export async function phase(mq: Context, trips: Saga<Trip>, id: string): Promise<string | undefined> {
  return (await trips.status(mq, id))?.status
}
