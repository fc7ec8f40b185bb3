import { MillraceError } from '../../model/errors.ts'
import { MAX_DEDUPLICATION_COUNT, MAX_DELAYS, type QueuePolicy } from '../../model/policy.ts'

/** What a request brings with it; every reader throws `argument-invalid` for what it is not. */
export class Arguments {
  private readonly values: ReadonlyMap<unknown, unknown>

  constructor(values: unknown) {
    if (values !== null && values !== undefined && !(values instanceof Map))
      throw unusable('the body of a request is a map of its arguments')
    this.values = values instanceof Map ? values : new Map()
  }

  text(name: string): string {
    const text = this.optionalText(name)
    if (text === undefined || text === '') throw unusable(`the argument ${name} is missing`)
    return text
  }

  optionalText(name: string): string | undefined {
    const value = this.values.get(name) ?? undefined
    if (value === undefined || typeof value === 'string') return value
    throw unusable(`the argument ${name} is a text`)
  }

  number(name: string): number | undefined {
    const value = this.values.get(name) ?? undefined
    if (value === undefined || typeof value === 'number') return value
    if (typeof value === 'bigint') return Number(value)
    throw unusable(`the argument ${name} is a number`)
  }

  flag(name: string): boolean {
    const value = this.values.get(name) ?? false
    if (typeof value === 'boolean') return value
    throw unusable(`the argument ${name} is true or false`)
  }

  /** The policy under `name`, {} when there is none. */
  policy(name: string): Partial<QueuePolicy> {
    const value = this.values.get(name) ?? new Map()
    if (value instanceof Map) return policyOf(value)
    throw unusable(`the argument ${name} is a map`)
  }
}

type Check = (value: unknown) => boolean

const positive: Check = (value) => typeof value === 'number' && value > 0
const notNegative: Check = (value) => typeof value === 'number' && value >= 0
const overflows: ReadonlySet<unknown> = new Set(['block', 'reject', 'drop-oldest', 'dead-letter'])

/** What the fields of a policy may be; null stands for none where the field may be left out. */
const policyChecks: Readonly<Record<keyof QueuePolicy, Check>> = {
  ttl: (value) => value === null || positive(value),
  maxMessages: (value) => value === null || positive(value),
  maxBytes: (value) => value === null || positive(value),
  overflow: (value) => overflows.has(value),
  blockTimeout: notNegative,
  maxDeliveries: (value) => value === null || positive(value),
  backoff: (value) => value instanceof Map && isBackoff(value),
  deadLetter: (value) => value === null || typeof value === 'string',
  expired: (value) => value === null || typeof value === 'string',
  singleActiveConsumer: (value) => value === null || typeof value === 'boolean',
  deduplication: (value) => value === null || (value instanceof Map && isDeduplication(value)),
  lastValue: (value) => value === null || (typeof value === 'string' && value !== ''),
  deliveryTimeout: (value) => value === null || positive(value),
}

const backoffFields = ['delay', 'multiplier', 'maxDelay', 'jitter'] as const

function isBackoff(value: ReadonlyMap<unknown, unknown>): boolean {
  return backoffFields.every((field) => notNegative(value.get(field))) && isDelays(value.get('delays'))
}

function isDelays(value: unknown): boolean {
  if (value === undefined) return true
  return Array.isArray(value) && value.length > 0 && value.length <= MAX_DELAYS && value.every(notNegative)
}

function isDeduplication(value: ReadonlyMap<unknown, unknown>): boolean {
  const count = value.get('count')
  return positive(value.get('window')) && positive(count) && Number(count) <= MAX_DEDUPLICATION_COUNT
}

function policyOf(map: ReadonlyMap<unknown, unknown>): Partial<QueuePolicy> {
  const policy: Record<string, unknown> = {}
  for (const [key, value] of map) {
    const name = String(key)
    if (!Object.hasOwn(policyChecks, name)) throw unusable(`a policy has no field ${name}`)
    const plain = typeof value === 'bigint' ? Number(value) : value
    if (!policyChecks[name as keyof QueuePolicy](plain))
      throw unusable(`${String(value)} cannot be the ${name} of a policy`)
    policy[name] = plain instanceof Map ? Object.fromEntries(plain) : (plain ?? undefined)
  }
  return policy
}

function unusable(message: string): MillraceError {
  return new MillraceError('argument-invalid', message)
}
