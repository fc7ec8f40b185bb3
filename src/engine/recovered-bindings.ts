import type { BindingDefinition } from '../model/policy.ts'
import type { Queue } from './queue.ts'
import { bindingId } from './routing/exchange.ts'
import type { Topology, TopologyChange } from './topology.ts'

/**
 * Bindings while the engine recovers. A queue's section of the checkpoint may be younger than that of the exchanges and than
 * the operations replayed after it, and a name may have passed from one queue to another in between. So bindings are
 * gathered by queue, without what its section contains already, and come into force together at the end.
 */
export class RecoveredBindings {
  private readonly byQueue = new Map<Queue, Map<string, BindingDefinition>>()

  /** What a queue's section says. */
  restore(queue: Queue, bindings: readonly BindingDefinition[]): void {
    for (const binding of bindings) this.of(queue).set(bindingId(binding), binding)
  }

  /** A journalled change, as far as it concerns bindings. */
  apply(lsn: number, change: TopologyChange, topology: Topology): void {
    if (change.op === 'exchange-gone') {
      for (const [queue, bindings] of this.byQueue) {
        if (lsn <= queue.asOf) continue
        for (const [id, { exchange }] of bindings) if (exchange === change.name) bindings.delete(id)
      }
    } else if (change.op === 'bind' || change.op === 'unbind') {
      const { binding } = change
      const queue = topology.queues.get(binding.queue)
      if (queue === undefined || lsn <= queue.asOf) return
      if (change.op === 'bind') this.of(queue).set(bindingId(binding), binding)
      else this.of(queue).delete(bindingId(binding))
    }
  }

  /** Brings them into force, those of queues that are still there. */
  finish(topology: Topology): void {
    for (const [queue, bindings] of this.byQueue) {
      if (queue.deleting) continue
      for (const binding of bindings.values()) topology.apply({ op: 'bind', binding })
    }
    this.byQueue.clear()
  }

  private of(queue: Queue): Map<string, BindingDefinition> {
    let bindings = this.byQueue.get(queue)
    if (bindings === undefined) {
      bindings = new Map()
      this.byQueue.set(queue, bindings)
    }
    return bindings
  }
}
