import type {
  CheckAnswer,
  IncomingCheck,
  PreparedReport,
  ProviderChecks,
  ProviderPrepared,
} from '../client/provider.ts'
import type { Engine, PreparedCheck } from '../engine/api.ts'
import { fetchBody } from '../gateway/management/bodies.ts'
import type { Operations } from '../gateway/management/operations.ts'
import { EmbeddedIncoming } from './incoming.ts'

/** A half message that its producers are asked for. */
class EmbeddedCheck extends EmbeddedIncoming implements IncomingCheck {
  readonly preparedId: string

  constructor(check: PreparedCheck, bytes: Uint8Array, start: number, end: number) {
    super(0, check, bytes, start, end)
    this.preparedId = check.id
  }
}

/** Half messages of an engine in this process. */
export class EmbeddedPrepared implements ProviderPrepared {
  private readonly engine: Engine
  private readonly connection: number
  private readonly operations: Operations
  /** Who answers for a group; several take turns. */
  private readonly answers: Map<string, CheckAnswer[]> = new Map()

  constructor(engine: Engine, connection: number, operations: Operations) {
    this.engine = engine
    this.connection = connection
    this.operations = operations
  }

  list(): Promise<readonly PreparedReport[]> {
    return this.operations.prepared()
  }

  decide(id: string, decision: 'commit' | 'rollback'): Promise<void> {
    return this.operations.decide(id, decision)
  }

  async answerChecks(group: string, answer: CheckAnswer): Promise<ProviderChecks> {
    this.engine.joinGroup(this.connection, group)
    this.answers.set(group, [...(this.answers.get(group) ?? []), answer])
    return { close: async () => this.leave(group, answer) }
  }

  private leave(group: string, answer: CheckAnswer): void {
    const answers = this.answers.get(group) ?? []
    const others = answers.filter((other) => other !== answer)
    if (others.length === answers.length) return
    if (others.length > 0) {
      this.answers.set(group, others)
      return
    }
    this.answers.delete(group)
    this.engine.leaveGroup(this.connection, group)
  }

  /** The engine asks. */
  ask(checks: readonly PreparedCheck[]): void {
    for (const check of checks) void this.check(check)
  }

  private async check(check: PreparedCheck): Promise<void> {
    const bytes = check.chunks.length > 0 ? await fetchBody(this.engine, check) : check.bytes
    const [answer, ...others] = this.answers.get(check.group) ?? []
    // A body that is damaged cannot be shown to anybody; an operator decides in the end.
    if (!answer || !bytes) return
    this.answers.set(check.group, [...others, answer])
    const whole = check.chunks.length > 0
    const start = whole ? 0 : check.start
    const end = whole ? bytes.length : check.end
    const decision = await answer(new EmbeddedCheck(check, bytes, start, end))
    // What somebody else has decided meanwhile is decided.
    if (decision !== 'unknown') await this.decide(check.id, decision).catch(() => {})
  }
}
