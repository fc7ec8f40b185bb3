import type { LocationReport, ProviderManagement, QueueReport } from '../client/provider.ts'
import type { Engine, QueueStatus } from '../engine/api.ts'

/** Management of an engine in this process. */
export class EmbeddedManagement implements ProviderManagement {
  private readonly engine: Engine

  constructor(engine: Engine) {
    this.engine = engine
  }

  async queues(): Promise<readonly QueueReport[]> {
    return this.engine.queues().map(report)
  }

  async locate(brokerId: string): Promise<readonly LocationReport[]> {
    const lsn = Number(brokerId)
    if (!Number.isSafeInteger(lsn)) return []
    return new Promise((resolve) => this.engine.locate(lsn, resolve))
  }

  purge(queue: string): Promise<number> {
    return new Promise((resolve) => this.engine.purgeQueue(queue, resolve))
  }

  delete(queue: string): Promise<number> {
    return new Promise((resolve) => this.engine.deleteQueue(queue, {}, resolve))
  }
}

function report({ definition, oldest, ...counts }: QueueStatus): QueueReport {
  return { name: definition.name, policy: definition.policy, durability: definition.durability, ...counts }
}
