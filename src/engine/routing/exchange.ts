import type { BindingDefinition, ExchangeDefinition, KeySyntax } from '../../model/policy.ts'
import type { PropertyLookup } from '../../model/selector/selector.ts'
import { type Binding, BindingSet } from './binding-set.ts'
import { type Level, splitKey, splitPattern } from './levels.ts'
import { TopicTrie } from './trie.ts'

/** A message on its way through an exchange: its properties as its receiver sees them, and as selectors do. */
export interface RoutedMessage {
  readonly property: PropertyLookup
  readonly lookup: PropertyLookup
}

export function bindingId(definition: BindingDefinition): string {
  const { queue, key, syntax, headers, noLocal, noLocalConnection, selector } = definition
  const rest = [headers ?? null, noLocal ?? null, noLocalConnection ?? null, selector ?? null]
  return JSON.stringify([queue, key, syntax ?? 'dotted', ...rest])
}

/** Bindings of one exchange, arranged for its kind. `route` adds the bindings that take a message. */
export interface Exchange {
  readonly definition: ExchangeDefinition
  /** By bindingId. */
  readonly bindings: ReadonlyMap<string, Binding>
  bind(binding: Binding): void
  unbind(binding: Binding): void
  route(key: RoutingKey, message: RoutedMessage, into: Set<Binding>): void
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
  private readonly all = new BindingSet()

  constructor(definition: ExchangeDefinition) {
    this.definition = definition
  }

  bind(binding: Binding): void {
    this.bindings.set(binding.id, binding)
    this.all.add(binding)
  }

  unbind(binding: Binding): void {
    this.bindings.delete(binding.id)
    this.all.delete(binding)
  }

  route(_key: RoutingKey, message: RoutedMessage, into: Set<Binding>): void {
    this.all.collect(message.lookup, into)
  }
}

/** Bindings of one key, or of one pattern, are a set. */
abstract class KeyedExchange implements Exchange {
  readonly definition: ExchangeDefinition
  readonly bindings: Map<string, Binding> = new Map()
  protected readonly sets: Map<string, BindingSet> = new Map()

  constructor(definition: ExchangeDefinition) {
    this.definition = definition
  }

  bind(binding: Binding): void {
    this.bindings.set(binding.id, binding)
    const name = this.nameOf(binding.definition)
    let set = this.sets.get(name)
    if (set === undefined) {
      set = new BindingSet()
      this.sets.set(name, set)
      this.opened(binding.definition, set)
    }
    set.add(binding)
  }

  unbind(binding: Binding): void {
    this.bindings.delete(binding.id)
    const name = this.nameOf(binding.definition)
    const set = this.sets.get(name)
    set?.delete(binding)
    if (!set?.empty) return
    this.sets.delete(name)
    this.closed(binding.definition, set)
  }

  abstract route(key: RoutingKey, message: RoutedMessage, into: Set<Binding>): void
  /** What the bindings of one set have in common. */
  protected abstract nameOf(definition: BindingDefinition): string
  protected opened(_definition: BindingDefinition, _set: BindingSet): void {}
  protected closed(_definition: BindingDefinition, _set: BindingSet): void {}
}

class DirectExchange extends KeyedExchange {
  override route(key: RoutingKey, message: RoutedMessage, into: Set<Binding>): void {
    this.sets.get(key.text)?.collect(message.lookup, into)
  }

  protected override nameOf({ key }: BindingDefinition): string {
    return key
  }
}

class TopicExchange extends KeyedExchange {
  private readonly trie = new TopicTrie<BindingSet>()
  private readonly found = new Set<BindingSet>()

  override route(key: RoutingKey, message: RoutedMessage, into: Set<Binding>): void {
    this.found.clear()
    this.trie.match(splitKey(key.text, key.syntax), this.found)
    for (const set of this.found) set.collect(message.lookup, into)
  }

  protected override nameOf({ key, syntax }: BindingDefinition): string {
    return `${syntax ?? 'dotted'} ${key}`
  }

  protected override opened(definition: BindingDefinition, set: BindingSet): void {
    this.trie.add(patternOf(definition), set)
  }

  protected override closed(definition: BindingDefinition, set: BindingSet): void {
    this.trie.remove(patternOf(definition), set)
  }
}

class HeadersExchange extends FanoutExchange {
  override route(_key: RoutingKey, message: RoutedMessage, into: Set<Binding>): void {
    for (const binding of this.bindings.values()) {
      const { definition, selector } = binding
      if (headersMatch(definition, message.property) && (selector?.matches(message.lookup) ?? true))
        into.add(binding)
    }
  }
}

function patternOf({ key, syntax }: BindingDefinition): Level[] {
  return splitPattern(key, syntax ?? 'dotted')
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
