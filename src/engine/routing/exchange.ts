import type { BindingDefinition, ExchangeDefinition, KeySyntax } from '../../model/policy.ts'
import { type Level, splitKey, splitPattern } from './levels.ts'
import { TopicTrie } from './trie.ts'

/** Looks up a property of the message being routed; only headers exchanges do. */
export type PropertyLookup = (name: string) => unknown

/** A binding in force: its definition, what tells it from others of its exchange, and the queue it leads to. */
export interface Binding {
  readonly definition: BindingDefinition
  readonly id: string
  readonly queue: number
}

export function bindingId({ queue, key, syntax, headers, noLocal }: BindingDefinition): string {
  return JSON.stringify([queue, key, syntax ?? 'dotted', headers ?? null, noLocal ?? null])
}

/** Bindings of one exchange, arranged for its kind. `route` adds the bindings that take a message. */
export interface Exchange {
  readonly definition: ExchangeDefinition
  /** By bindingId. */
  readonly bindings: ReadonlyMap<string, Binding>
  bind(binding: Binding): void
  unbind(binding: Binding): void
  route(key: RoutingKey, property: PropertyLookup, into: Set<Binding>): void
}

/** A key as the sender wrote it, and how its protocol splits it into levels. */
export interface RoutingKey {
  readonly text: string
  readonly syntax: KeySyntax
}

export function createExchange(definition: ExchangeDefinition): Exchange {
  switch (definition.kind) {
    case 'direct':
      return new DirectExchange(definition)
    case 'fanout':
      return new FanoutExchange(definition)
    case 'topic':
      return new TopicExchange(definition)
    case 'headers':
      return new HeadersExchange(definition)
  }
}

class FanoutExchange implements Exchange {
  readonly definition: ExchangeDefinition
  readonly bindings: Map<string, Binding> = new Map()

  constructor(definition: ExchangeDefinition) {
    this.definition = definition
  }

  bind(binding: Binding): void {
    this.bindings.set(binding.id, binding)
  }

  unbind(binding: Binding): void {
    this.bindings.delete(binding.id)
  }

  route(_key: RoutingKey, _property: PropertyLookup, into: Set<Binding>): void {
    for (const binding of this.bindings.values()) into.add(binding)
  }
}

class DirectExchange extends FanoutExchange {
  private readonly byKey = new Map<string, Binding[]>()

  override bind(binding: Binding): void {
    super.bind(binding)
    const same = this.byKey.get(binding.definition.key)
    if (same === undefined) this.byKey.set(binding.definition.key, [binding])
    else same.push(binding)
  }

  override unbind(binding: Binding): void {
    super.unbind(binding)
    const { key } = binding.definition
    const rest = (this.byKey.get(key) ?? []).filter((other) => other !== binding)
    if (rest.length > 0) this.byKey.set(key, rest)
    else this.byKey.delete(key)
  }

  override route(key: RoutingKey, _property: PropertyLookup, into: Set<Binding>): void {
    for (const binding of this.byKey.get(key.text) ?? []) into.add(binding)
  }
}

class TopicExchange extends FanoutExchange {
  private readonly trie = new TopicTrie<Binding>()

  override bind(binding: Binding): void {
    super.bind(binding)
    this.trie.add(patternOf(binding), binding)
  }

  override unbind(binding: Binding): void {
    super.unbind(binding)
    this.trie.remove(patternOf(binding), binding)
  }

  override route(key: RoutingKey, _property: PropertyLookup, into: Set<Binding>): void {
    this.trie.match(splitKey(key.text, key.syntax), into)
  }
}

class HeadersExchange extends FanoutExchange {
  override route(_key: RoutingKey, property: PropertyLookup, into: Set<Binding>): void {
    for (const binding of this.bindings.values())
      if (headersMatch(binding.definition, property)) into.add(binding)
  }
}

function patternOf(binding: Binding): Level[] {
  return splitPattern(binding.definition.key, binding.definition.syntax ?? 'dotted')
}

/** A binding value of null asks only that the header be there (RabbitMQ: void). No values: all matches, any does not. */
function headersMatch(definition: BindingDefinition, property: PropertyLookup): boolean {
  const { match, values } = definition.headers ?? { match: 'all', values: {} }
  const test = ([name, wanted]: [string, unknown]): boolean => {
    const found = property(name)
    return wanted === null ? found !== undefined : found === wanted
  }
  const pairs = Object.entries(values)
  return match === 'all' ? pairs.every(test) : pairs.some(test)
}
