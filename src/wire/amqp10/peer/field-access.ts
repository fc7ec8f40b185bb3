import { AmqpArray, AmqpSymbol } from '../values.ts'
import { type Fields, noFields } from './performatives.ts'
import { invalidField } from './violation.ts'

/**
 * The fields of a decoded composite, by position and with the type the specification gives them. A field that is null or
 * left out at the end is absent. Throws Violation amqp:invalid-field for another type, or when a mandatory one is absent.
 */
export class FieldAccess {
  private readonly name: string
  private readonly values: readonly unknown[]

  constructor(name: string, values: unknown) {
    if (!Array.isArray(values)) throw invalidField(`${name} is not a list`)
    this.name = name
    this.values = values
  }

  value(index: number): unknown {
    return this.values[index] ?? null
  }

  wrong(index: number, expected: string): never {
    throw invalidField(`field ${index} of ${this.name} is not ${expected}`)
  }

  /** An unsigned integer of up to 64 bits; without `absent` it is mandatory. */
  uint(index: number, absent?: number, max = 0xffff_ffff): number {
    const value = this.value(index)
    if (value === null) return absent ?? this.wrong(index, 'there, although it is mandatory')
    const number = typeof value === 'bigint' ? Number(value) : value
    if (typeof number !== 'number' || !(number >= 0 && number <= max && number % 1 === 0)) {
      this.wrong(index, `an unsigned integer up to ${max}`)
    }
    return number
  }

  boolean(index: number, absent?: boolean): boolean {
    const value = this.value(index)
    if (value === null) return absent ?? this.wrong(index, 'there, although it is mandatory')
    return typeof value === 'boolean' ? value : this.wrong(index, 'a boolean')
  }

  string(index: number): string | undefined {
    const value = this.value(index)
    if (value === null) return undefined
    return typeof value === 'string' ? value : this.wrong(index, 'a string')
  }

  symbol(index: number): string | undefined {
    const value = this.value(index)
    if (value === null) return undefined
    return value instanceof AmqpSymbol ? value.value : this.wrong(index, 'a symbol')
  }

  /** A field declared multiple: absent, one symbol or an array of them. */
  symbols(index: number): string[] {
    const value = this.value(index)
    if (value === null) return []
    const items = value instanceof AmqpArray ? value.items : [value]
    return items.map((item) =>
      item instanceof AmqpSymbol ? item.value : this.wrong(index, 'a symbol or an array of symbols'),
    )
  }

  binary(index: number): Uint8Array | null {
    const value = this.value(index)
    return value === null || value instanceof Uint8Array ? value : this.wrong(index, 'binary')
  }

  /** A map whose keys are symbols (strings are taken too). */
  fields(index: number): Fields | undefined {
    const value = this.value(index)
    if (value === null) return undefined
    if (!(value instanceof Map)) this.wrong(index, 'a map')
    if (value.size === 0) return noFields
    const fields = new Map<string, unknown>()
    for (const [key, entry] of value as Map<unknown, unknown>) {
      if (key instanceof AmqpSymbol) fields.set(key.value, entry)
      else if (typeof key === 'string') fields.set(key, entry)
      else this.wrong(index, 'a map with symbols as keys')
    }
    return fields
  }

  /** One of `names`, which stand for 0, 1, 2, … on the wire. */
  choice<T extends string>(index: number, names: readonly T[], absent: T): T {
    const value = this.value(index)
    if (value === null) return absent
    return names[value as number] ?? this.wrong(index, `one of ${names.map((_, i) => i).join(', ')}`)
  }
}
