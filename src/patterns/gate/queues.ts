import { type Queue, queue } from '../../client/destinations.ts'

/** One message for each place that nobody has used up. */
export interface Place {
  readonly number: number
}

/** That the gate was set up, and how; or, of an asker, nothing but its number at the broker. */
export interface Entry {
  readonly places?: number | undefined
}

/** The property by which the register keeps the last entry of each. */
export const ASKER = 'asker'

/** Who has set it up, in the register. */
export const FOUNDER = 'gate'

/** Where a gate is kept. */
export interface GateQueues {
  readonly name: string
  readonly places: Queue<Place>
  readonly register: Queue<Entry>
}

/** Throws `destination-invalid`. */
export function queuesOf(name: string): GateQueues {
  return {
    name,
    // A place that comes back any number of times is as good as before.
    places: queue<Place>(`millrace.gate.${name}`, {
      policy: { maxDeliveries: Number.POSITIVE_INFINITY, deadLetter: false },
    }),
    register: queue<Entry>(`millrace.gate.${name}.register`, {
      policy: { lastValue: ASKER, deadLetter: false },
    }),
  }
}
