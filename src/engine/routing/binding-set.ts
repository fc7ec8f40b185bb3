import type { BindingDefinition } from '../../model/policy.ts'
import type { PropertyLookup, Selector } from '../../model/selector/selector.ts'
import { equalityKey } from '../../model/selector/selector.ts'

/** A binding in force: its definition, what tells it from others of its exchange, and the queue it leads to. */
export interface Binding {
  readonly definition: BindingDefinition
  readonly id: string
  readonly queue: number
  readonly selector: Selector | undefined
}

/** Bindings whose selectors mean the same: one evaluation serves all of them. */
interface Alike {
  readonly selector: Selector
  readonly bindings: Set<Binding>
}

/**
 * Bindings that routing has found together, arranged by their selectors. Those that ask for equality are found by the value
 * that a message has, however many there are; of the others each distinct selector is evaluated.
 */
export class BindingSet {
  private readonly plain = new Set<Binding>()
  /** By identifier, then by the key of the value. */
  private readonly byValue = new Map<string, Map<string, Set<Binding>>>()
  /** By canonical form. */
  private readonly others = new Map<string, Alike>()

  get empty(): boolean {
    return this.plain.size === 0 && this.byValue.size === 0 && this.others.size === 0
  }

  add(binding: Binding): void {
    const { selector } = binding
    if (selector === undefined) this.plain.add(binding)
    else if (selector.equality === undefined) this.addOther(binding, selector)
    else
      for (const key of keysOf(selector))
        valuesOf(this.byValue, selector.equality.identifier, key).add(binding)
  }

  delete(binding: Binding): void {
    const { selector } = binding
    if (selector === undefined) this.plain.delete(binding)
    else if (selector.equality === undefined) this.deleteOther(binding, selector)
    else for (const key of keysOf(selector)) this.deleteValue(selector.equality.identifier, key, binding)
  }

  /** Adds to `into` those that take the message. */
  collect(lookup: PropertyLookup, into: Set<Binding>): void {
    for (const binding of this.plain) into.add(binding)
    for (const [identifier, byKey] of this.byValue) {
      const key = equalityKey(lookup(identifier))
      if (key === undefined) continue
      for (const binding of byKey.get(key) ?? []) {
        const { selector } = binding
        if (selector?.equalityOnly || selector?.matches(lookup)) into.add(binding)
      }
    }
    for (const { selector, bindings } of this.others.values()) {
      if (!selector.matches(lookup)) continue
      for (const binding of bindings) into.add(binding)
    }
  }

  private addOther(binding: Binding, selector: Selector): void {
    const alike = this.others.get(selector.canonical)
    if (alike === undefined) this.others.set(selector.canonical, { selector, bindings: new Set([binding]) })
    else alike.bindings.add(binding)
  }

  private deleteOther(binding: Binding, { canonical }: Selector): void {
    const alike = this.others.get(canonical)
    if (alike?.bindings.delete(binding) && alike.bindings.size === 0) this.others.delete(canonical)
  }

  private deleteValue(identifier: string, key: string, binding: Binding): void {
    const byKey = this.byValue.get(identifier)
    const bindings = byKey?.get(key)
    if (byKey === undefined || bindings === undefined) return
    bindings.delete(binding)
    if (bindings.size === 0) byKey.delete(key)
    if (byKey.size === 0) this.byValue.delete(identifier)
  }
}

function keysOf(selector: Selector): string[] {
  return (selector.equality?.values ?? []).flatMap((value) => equalityKey(value) ?? [])
}

function valuesOf(
  byValue: Map<string, Map<string, Set<Binding>>>,
  identifier: string,
  key: string,
): Set<Binding> {
  let byKey = byValue.get(identifier)
  if (byKey === undefined) {
    byKey = new Map()
    byValue.set(identifier, byKey)
  }
  let bindings = byKey.get(key)
  if (bindings === undefined) {
    bindings = new Set()
    byKey.set(key, bindings)
  }
  return bindings
}
