import {
  type Destination,
  MAX_MEMBERS,
  parseComposite,
  TEMPORARY_QUEUE,
  TEMPORARY_TOPIC,
} from '../../model/destination.ts'
import { MillraceError } from '../../model/errors.ts'

/** Prefixes of addresses that say what they name. */
const prefixes = [
  ['queue://', 'queue'],
  ['topic://', 'topic'],
  ['temp-queue://', 'queue'],
  ['temp-topic://', 'topic'],
] as const

/** Terminus capabilities of the JMS mapping. */
const capabilityKinds: Readonly<Record<string, 'queue' | 'topic'>> = {
  queue: 'queue',
  topic: 'topic',
  'temporary-queue': 'queue',
  'temporary-topic': 'topic',
}

/** The node at which management is asked for. */
export const MANAGEMENT_ADDRESS = '$management'

/** Begins the address from which a producer of the group that it names receives half messages to decide. */
export const PREPARED_ADDRESS = '$prepared/'

/**
 * What an address names: by its prefix, else by the capability that came with it, else the queue of that name, else what
 * `fallback` answers. Throws `destination-invalid` for an address that names nothing.
 */
export function resolveAddress(
  address: string,
  capabilities: readonly string[],
  fallback: (name: string) => 'queue' | 'topic',
): Destination {
  const prefix = prefixes.find(([text]) => address.startsWith(text))
  const name = prefix ? address.slice(prefix[0].length) : address
  if (name === '') throw new MillraceError('destination-invalid', 'the address is empty')
  if (name.startsWith(TEMPORARY_QUEUE)) return { kind: 'temporary-queue', name }
  if (name.startsWith(TEMPORARY_TOPIC)) return { kind: 'temporary-topic', name }
  return { kind: prefix?.[1] ?? kindOf(capabilities) ?? fallback(name), name }
}

/** What the address of a target names: one destination, or several. Throws `destination-invalid`. */
export function resolveTargets(
  address: string,
  capabilities: readonly string[],
  fallback: (name: string) => 'queue' | 'topic',
): [Destination, ...Destination[]] {
  const [first, ...others] = parseComposite(address) ?? []
  if (first === undefined) return [resolveAddress(address, capabilities, fallback)]
  const members: [Destination, ...Destination[]] = [first, ...others]
  if (members.length > MAX_MEMBERS || !members.every(isLasting))
    throw new MillraceError(
      'destination-invalid',
      `an address of several destinations has at most ${MAX_MEMBERS}, each with a name, and none that is temporary`,
    )
  return members
}

function isLasting({ name }: Destination): boolean {
  return name !== '' && !name.startsWith(TEMPORARY_QUEUE) && !name.startsWith(TEMPORARY_TOPIC)
}

export function kindOf(capabilities: readonly string[]): 'queue' | 'topic' | undefined {
  for (const capability of capabilities) {
    const kind = capabilityKinds[capability]
    if (kind) return kind
  }
  return undefined
}
