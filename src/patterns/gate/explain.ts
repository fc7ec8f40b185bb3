import { type Explanation, explanation } from '../explain/explanation.ts'
import type { GateQueues } from './queues.ts'

/** See Gate.explain. `lasting`: the broker keeps what it has over a restart. */
export function explainGate(
  { name, places, register }: GateQueues,
  count: number,
  lasting: boolean,
): Explanation {
  return explanation(`The gate ${name}, with ${count} places`, {
    lost: [
      lasting
        ? 'No place: it is free, or with one who was let in, or completed. Neither a process nor a broker that ends changes that.'
        : 'Everything, with the broker: it keeps nothing over a restart, and the gate is then set up anew, with all its places.',
    ],
    duplicated: [
      'Never two who were told that they have the same place and whose connections live. Whoever has lost it may not know yet; the token of the next one is higher, so that what the place stands for can refuse the former one.',
      'What was done for a place whose completion was not confirmed: the place may come back. Make that unique by the number of the place.',
    ],
    order: [
      'Who asks through one gate of one process is let in in the order of asking; among processes, as the broker hears them.',
      'A place that comes back goes to whoever asks next; those who were refused are not told.',
    ],
    until: [
      'A place is held until it is completed, released, or its connection is lost; there is no limit of time, unless a deliveryTimeout was set for its queue.',
      `The gate is there until somebody deletes ${places.name} and ${register.name}; it is then set up anew by whoever opens it.`,
    ],
  })
}
