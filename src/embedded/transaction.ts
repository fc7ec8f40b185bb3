import type { ProviderTransaction } from '../client/provider.ts'
import type { Engine } from '../engine/api.ts'
import { Retirements } from '../gateway/retirements.ts'
import { MillraceError } from '../model/errors.ts'

/** A transaction of the engine as the provider port has it: a rollback gives back what was settled. */
export class EmbeddedTransaction implements ProviderTransaction {
  /** The engine's number. */
  readonly number: number
  private readonly engine: Engine
  private readonly settled: Retirements = new Retirements()

  constructor(engine: Engine, number: number) {
    this.engine = engine
    this.number = number
  }

  /** Enlists deliveries; answers how many. Throws what the engine throws. */
  settle(consumer: number, first: number, last: number, settlement: Parameters<Engine['settle']>[3]): number {
    const enlisted = this.engine.settle(consumer, first, last, settlement, undefined, this.number)
    this.settled.add(consumer, first, last)
    return enlisted
  }

  commit(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.engine.commitTransaction(this.number, (error) => {
        if (!error) return resolve()
        this.settled.giveBack(this.engine)
        reject(rolledBack(error))
      })
    })
  }

  rollback(): Promise<void> {
    return new Promise((resolve) => {
      this.engine.rollbackTransaction(this.number, () => {
        this.settled.giveBack(this.engine)
        resolve()
      })
    })
  }
}

function rolledBack(cause: MillraceError): MillraceError {
  if (cause.code !== 'transaction-not-found') return cause
  return new MillraceError('transaction-rolled-back', 'the broker does not have the transaction any more', {
    cause,
  })
}
