import type { Engine } from '../../engine/api.ts'

/** Resolves when all that the engine has done so far is durable. Rejects with the failure of the journal. */
export function durable(engine: Engine): Promise<void> {
  return new Promise((resolve, reject) => {
    engine.whenDurable((error) => (error ? reject(error) : resolve()))
  })
}
