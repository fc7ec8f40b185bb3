import { DEAD_LETTER_SUFFIX, defaultPolicy, type QueuePolicy } from '../model/policy.ts'
import { splitKey, splitPattern } from './routing/levels.ts'
import { TopicTrie } from './routing/trie.ts'

/** Policy for queues whose name matches; the first rule that matches wins. */
export interface PolicyRule {
  /** A name, or a dotted pattern: '*' one level, '#' any number. */
  readonly match: string
  readonly policy: Partial<QueuePolicy>
}

export interface EngineOptions {
  /** Queues that senders and receivers may bring into being by naming them: all, none, or those that match. */
  readonly autoCreate?: boolean | readonly string[] | undefined
  readonly policies?: readonly PolicyRule[] | undefined
  /** A queue Consumer.GROUP.TOPIC whose topic is this dotted pattern gets what is sent to that topic; false: none does. */
  readonly virtualTopics?: string | false | undefined
  /** Bound on messages of level 'memory'. Bytes. */
  readonly memoryBytes?: number | undefined
  /** Publishes are refused above so many bytes not yet on disk. */
  readonly unsyncedBytes?: number | undefined
  readonly maxMessageBytes?: number | undefined
  /** Payloads above are stored as chunks of this size. */
  readonly chunkBytes?: number | undefined
  /** Entries of queue indexes kept in memory; more are paged. */
  readonly residentEntries?: number | undefined
  /** Positions of messages remembered per queue for consumers that do not take everything. */
  readonly candidates?: number | undefined
  /** Messages and bytes held per full queue with overflow 'block'. */
  readonly heldMessages?: number | undefined
  readonly heldBytes?: number | undefined
  readonly maxProducers?: number | undefined
  /** Scheduled messages whose times are kept in memory; more are paged. */
  readonly scheduledEntries?: number | undefined
  /** Scheduled messages that repeat; their times stay in memory. */
  readonly maxRepeating?: number | undefined
  /** Open at once. */
  readonly maxTransactions?: number | undefined
  /** Settlements of one transaction, and messages times the queues they go to. */
  readonly maxTransactionOperations?: number | undefined
  /** The same of all open transactions together. */
  readonly openOperations?: number | undefined
  /** A transaction in which nothing happens for so many milliseconds is rolled back. */
  readonly transactionTimeout?: number | undefined
  /** Half messages that are undecided. */
  readonly maxPrepared?: number | undefined
  /** When the producers of an undecided half message are asked for it: milliseconds, and how often at most. */
  readonly checkBack?: Partial<CheckBack> | undefined
}

export interface CheckBack {
  readonly first: number
  readonly interval: number
  readonly max: number
}

export type ResolvedOptions = {
  readonly [K in keyof Omit<EngineOptions, 'checkBack'>]-?: NonNullable<EngineOptions[K]>
} & { readonly checkBack: CheckBack }

export function resolveOptions(options: EngineOptions): ResolvedOptions {
  return {
    autoCreate: options.autoCreate ?? true,
    policies: options.policies ?? [],
    virtualTopics: options.virtualTopics ?? 'VirtualTopic.#',
    memoryBytes: options.memoryBytes ?? 256 * 1024 * 1024,
    unsyncedBytes: options.unsyncedBytes ?? 128 * 1024 * 1024,
    maxMessageBytes: options.maxMessageBytes ?? 128 * 1024 * 1024,
    chunkBytes: options.chunkBytes ?? 256 * 1024,
    residentEntries: options.residentEntries ?? 2_000_000,
    candidates: options.candidates ?? 262_144,
    heldMessages: options.heldMessages ?? 5_000,
    heldBytes: options.heldBytes ?? 16 * 1024 * 1024,
    maxProducers: options.maxProducers ?? 100_000,
    scheduledEntries: options.scheduledEntries ?? 16_384,
    maxRepeating: options.maxRepeating ?? 100_000,
    maxTransactions: options.maxTransactions ?? 10_000,
    maxTransactionOperations: options.maxTransactionOperations ?? 1_000_000,
    openOperations: options.openOperations ?? 4_000_000,
    transactionTimeout: options.transactionTimeout ?? 5 * 60_000,
    maxPrepared: options.maxPrepared ?? 10_000,
    checkBack: { first: 6_000, interval: 30_000, max: 15, ...options.checkBack },
  }
}

/** Dead-letter and expiry queues keep what they have: nothing is dead-lettered from them or expires by default. */
const deadLetterPolicy: Partial<QueuePolicy> = { deadLetter: undefined, maxDeliveries: undefined }

/** Policies that are kept to be shared. */
const MOST_KNOWN = 1_000

/** Answers which policy a queue gets and whether it may be created by being named. */
export class Policies {
  private readonly rules: PolicyRule[]
  private readonly virtual: TopicTrie<true> | undefined
  private readonly creatable: boolean | TopicTrie<true>
  /** By what they say. */
  private readonly known = new Map<string, QueuePolicy>()

  constructor(options: ResolvedOptions) {
    this.rules = [...options.policies]
    this.virtual = options.virtualTopics === false ? undefined : trieOf(options.virtualTopics)
    const { autoCreate } = options
    if (typeof autoCreate === 'boolean') {
      this.creatable = autoCreate
      return
    }
    const trie = new TopicTrie<true>()
    for (const pattern of autoCreate) trie.add(splitPattern(pattern, 'dotted'), true)
    this.creatable = trie
  }

  mayCreate(name: string): boolean {
    return typeof this.creatable === 'boolean' ? this.creatable : matches(this.creatable, name)
  }

  /** The topic that a queue of this name takes from; its dead letters are no group of consumers. */
  virtualTopicOf(name: string): string | undefined {
    const topic = /^Consumer\.[^.]+\.(.+)$/s.exec(name)?.[1]
    if (topic === undefined || this.virtual === undefined || name.endsWith(DEAD_LETTER_SUFFIX))
      return undefined
    return matches(this.virtual, topic) ? topic : undefined
  }

  /** One object for all queues with this policy: each message looks at it, and of thousands none would be in a cache. */
  shared(policy: QueuePolicy): QueuePolicy {
    const key = JSON.stringify(policy)
    const known = this.known.get(key)
    if (known !== undefined) return known
    if (this.known.size === MOST_KNOWN) this.known.clear()
    this.known.set(key, policy)
    return policy
  }

  policyFor(name: string, asked: Partial<QueuePolicy> | undefined, isDeadLetter: boolean): QueuePolicy {
    const rule = this.rules.find(({ match }) => matches(trieOf(match), name))
    // Also when somebody looks into it before the first dead letter has come.
    const keeps = isDeadLetter || name.endsWith(DEAD_LETTER_SUFFIX)
    // By a rule for all queues one dead letter would replace another.
    const ruled = keeps && rule?.policy.lastValue ? { ...rule.policy, lastValue: undefined } : rule?.policy
    const policy = { ...defaultPolicy, ...(keeps ? deadLetterPolicy : {}), ...ruled, ...asked }
    // A rule for all queues that lets messages expire would make an expiry queue for each expiry queue, without end.
    return isDeadLetter ? { ...policy, expired: asked?.expired } : policy
  }
}

function trieOf(pattern: string): TopicTrie<true> {
  const trie = new TopicTrie<true>()
  trie.add(splitPattern(pattern, 'dotted'), true)
  return trie
}

function matches(trie: TopicTrie<true>, name: string): boolean {
  const found = new Set<true>()
  trie.match(splitKey(name, 'dotted'), found)
  return found.size > 0
}
