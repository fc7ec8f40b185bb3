import { AmqpSymbol, Described } from '../values.ts'
import type { Writer } from '../writer.ts'
import { Descriptor, descriptorCode } from './descriptors.ts'
import { writeFields, writeSymbols } from './error-codec.ts'
import { FieldAccess } from './field-access.ts'
import type { Coordinator, ExpiryPolicy, Source, Target, TerminusDurability } from './performatives.ts'
import { readState, writeState } from './state-codec.ts'
import { invalidField } from './violation.ts'

/**
 * Source (3.5.3), target (3.5.4) and coordinator (4.5.1):
 *
 *   source := 0x28 [address, durable, expiry-policy, timeout, dynamic, dynamic-node-properties,
 *                   distribution-mode, filter, default-outcome, outcomes, capabilities]
 *   target := 0x29 [address, durable, expiry-policy, timeout, dynamic, dynamic-node-properties, capabilities]
 *   coordinator := 0x30 [capabilities]
 */

const durabilities: readonly TerminusDurability[] = ['none', 'configuration', 'unsettled-state']
const expiryPolicies: readonly string[] = ['link-detach', 'session-end', 'connection-close', 'never']

export function readSource(value: unknown): Source | null {
  if (value === null) return null
  if (!(value instanceof Described) || descriptorCode(value.descriptor) !== Descriptor.source) {
    throw invalidField('a source was expected')
  }
  const fields = new FieldAccess('source', value.value)
  return {
    ...readTerminus(fields),
    distributionMode: readMode(fields),
    filter: fields.fields(7),
    defaultOutcome: readState(fields.value(8)),
    outcomes: fields.symbols(9),
    capabilities: fields.symbols(10),
  }
}

export function readTarget(value: unknown): Target | Coordinator | null {
  if (value === null) return null
  const code = value instanceof Described ? descriptorCode(value.descriptor) : Number.NaN
  if (code === Descriptor.coordinator) {
    const fields = new FieldAccess('coordinator', (value as Described).value)
    return { coordinator: true, capabilities: fields.symbols(0) }
  }
  if (code !== Descriptor.target) throw invalidField('a target was expected')
  const fields = new FieldAccess('target', (value as Described).value)
  return { ...readTerminus(fields), capabilities: fields.symbols(6) }
}

function readTerminus(fields: FieldAccess): Omit<Target, 'capabilities'> {
  const expiry = fields.symbol(2) ?? 'session-end'
  if (!expiryPolicies.includes(expiry)) fields.wrong(2, 'an expiry policy')
  return {
    address: readAddress(fields),
    durable: fields.choice(1, durabilities, 'none'),
    expiryPolicy: expiry as ExpiryPolicy,
    timeout: fields.uint(3, 0),
    dynamic: fields.boolean(4, false),
    dynamicNodeProperties: fields.fields(5),
  }
}

function readMode(fields: FieldAccess): 'move' | 'copy' | undefined {
  const mode = fields.symbol(6)
  if (mode === undefined || mode === 'move' || mode === 'copy') return mode
  return fields.wrong(6, 'a standard distribution mode')
}

/** Addresses are of any type on the wire; only text is of use. */
function readAddress(fields: FieldAccess): string | null {
  const address = fields.value(0)
  if (address === null || typeof address === 'string') return address
  return address instanceof AmqpSymbol ? address.value : fields.wrong(0, 'an address that is text')
}

export function writeSource(writer: Writer, source: Source | null): void {
  if (!source) return writer.null()
  writer.descriptor(Descriptor.source)
  const mark = writer.beginCompound(0xc0)
  writeTerminus(writer, source)
  if (source.distributionMode === undefined) writer.null()
  else writer.symbol(source.distributionMode)
  writeFields(writer, source.filter)
  writeState(writer, source.defaultOutcome)
  writeSymbols(writer, source.outcomes)
  writeSymbols(writer, source.capabilities)
  writer.endCompound(mark, 11)
}

export function writeTarget(writer: Writer, target: Target | Coordinator | null): void {
  if (!target) return writer.null()
  const coordinator = 'coordinator' in target
  writer.descriptor(coordinator ? Descriptor.coordinator : Descriptor.target)
  const mark = writer.beginCompound(0xc0)
  if (!coordinator) writeTerminus(writer, target)
  writeSymbols(writer, target.capabilities)
  writer.endCompound(mark, coordinator ? 1 : 7)
}

function writeTerminus(writer: Writer, terminus: Target): void {
  if (terminus.address === null) writer.null()
  else writer.string(terminus.address)
  writer.uint(durabilities.indexOf(terminus.durable))
  writer.symbol(terminus.expiryPolicy)
  writer.uint(terminus.timeout)
  writer.boolean(terminus.dynamic)
  writeFields(writer, terminus.dynamicNodeProperties)
}
