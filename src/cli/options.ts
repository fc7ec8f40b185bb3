import { parseArgs } from 'node:util'
import type { Duration, PropertyValue } from '../index.ts'
import { defaultOf, type SettingFlag, settings, settingsByFlag } from '../server/config/settings.ts'
import { suggestion } from './nearest.ts'
import { UsageError } from './usage-error.ts'

interface OptionSpec {
  readonly type: 'string' | 'boolean'
  /** What the value is called in the help. */
  readonly value?: string
  readonly short?: string
  readonly help: string
}

type OwnOption =
  | 'url'
  | 'json'
  | 'help'
  | 'version'
  | 'file'
  | 'as'
  | 'priority'
  | 'ttl'
  | 'delay'
  | 'deliver-at'
  | 'repeat-every'
  | 'repeat-cron'
  | 'repeat-timezone'
  | 'repeat-times'
  | 'repeat-until'
  | 'group'
  | 'property'
  | 'durability'
  | 'producer'
  | 'count'
  | 'selector'
  | 'timeout'
  | 'follow'
  | 'every'
  | 'id'
  | 'rate'
  | 'capacity'
  | 'capacity-bytes'
  | 'when-full'
  | 'max-deliveries'
  | 'delivery-timeout'
  | 'dead-letter'
  | 'expired'
  | 'single-active-consumer'
  | 'deduplication-window'
  | 'deduplication-count'
  | 'last-value'
  | 'redelivery-delays'
  | 'redelivery-delay'
  | 'redelivery-multiplier'
  | 'redelivery-max-delay'
  | 'redelivery-jitter'
  | 'database'
  | 'config'
  | 'memory'

export type OptionName = OwnOption | SettingFlag

const ownSpecs: Readonly<Record<OwnOption, OptionSpec>> = {
  url: { type: 'string', value: 'URL', help: 'where the broker is (default file:./millrace-data)' },
  json: { type: 'boolean', help: 'machine-readable output: one JSON document, or one per line' },
  help: { type: 'boolean', short: 'h', help: 'this text' },
  version: { type: 'boolean', short: 'V', help: 'the version' },
  file: { type: 'string', value: 'FILE', help: 'send each line of FILE; - is standard input' },
  as: { type: 'string', value: 'KIND', help: 'what bodies are: text (default), or json to be parsed' },
  priority: { type: 'string', value: 'N', help: '0 to 9; higher goes first (default 4)' },
  ttl: { type: 'string', value: 'TIME', help: 'not delivered any more when older, such as 90s or 2h' },
  delay: { type: 'string', value: 'TIME', help: 'not delivered before so long from now, such as 15m' },
  'deliver-at': {
    type: 'string',
    value: 'WHEN',
    help: 'not delivered before this, such as 2027-01-31T08:00:00Z; without Z the time here',
  },
  'repeat-every': { type: 'string', value: 'TIME', help: 'delivered again and again, so long apart' },
  'repeat-cron': {
    type: 'string',
    value: 'CRON',
    help: "delivered whenever this says, such as '0 8 * * MON-FRI': minute, hour, day, month, weekday",
  },
  'repeat-timezone': {
    type: 'string',
    value: 'ZONE',
    help: 'for --repeat-cron, such as Europe/Berlin (default UTC)',
  },
  'repeat-times': { type: 'string', value: 'N', help: 'deliveries in all (default: without end)' },
  'repeat-until': { type: 'string', value: 'WHEN', help: 'no delivery after this' },
  group: {
    type: 'string',
    value: 'NAME',
    help: 'the message group: its messages go to one consumer at a time',
  },
  property: { type: 'string', value: 'NAME=VALUE', help: 'an application property; may be repeated' },
  durability: {
    type: 'string',
    value: 'LEVEL',
    help: 'disk (default), os or memory: how far a message gets before it is confirmed',
  },
  producer: {
    type: 'string',
    value: 'ID',
    help: 'identity under which line N is stored once, however often it is sent',
  },
  count: { type: 'string', value: 'N', help: 'at most N messages' },
  selector: {
    type: 'string',
    value: 'CONDITION',
    help: 'only messages that it takes, such as "kind = \'order\' AND total > 100"',
  },
  timeout: { type: 'string', value: 'TIME', help: 'how long to wait for each message (default 0)' },
  follow: { type: 'boolean', help: 'wait for messages until stopped' },
  every: { type: 'string', value: 'TIME', help: 'between two views (default 1s)' },
  id: { type: 'string', value: 'ID', help: 'only the message of this id, as browse prints it' },
  rate: { type: 'string', value: 'N', help: 'at most N messages a second' },
  capacity: { type: 'string', value: 'N', help: 'messages that the queue takes at most' },
  'capacity-bytes': { type: 'string', value: 'N', help: 'bytes that the queue takes at most' },
  'when-full': {
    type: 'string',
    value: 'POLICY',
    help: 'block (default), reject, drop-oldest or dead-letter',
  },
  'max-deliveries': { type: 'string', value: 'N', help: 'failures after which a message is dead-lettered' },
  'delivery-timeout': { type: 'string', value: 'TIME', help: 'how long a consumer may hold a message' },
  'dead-letter': { type: 'string', value: 'QUEUE', help: 'where dead letters go (default {queue}.dlq)' },
  expired: { type: 'string', value: 'QUEUE', help: 'where expired messages go (default: they are dropped)' },
  'single-active-consumer': {
    type: 'boolean',
    help: 'one consumer at a time gets messages; others stand by',
  },
  'deduplication-window': {
    type: 'string',
    value: 'TIME',
    help: 'messages of one deduplication id are stored once, for so long (default 10m)',
  },
  'deduplication-count': {
    type: 'string',
    value: 'N',
    help: 'deduplication ids remembered at most (default 100000)',
  },
  'last-value': {
    type: 'string',
    value: 'KEY',
    help: 'property; a newer message replaces the older one that has the same value of it',
  },
  'redelivery-delays': {
    type: 'string',
    value: 'TIME,…',
    help: 'waits after the first failure, the second and so on; the last one is repeated',
  },
  'redelivery-delay': { type: 'string', value: 'TIME', help: 'wait after the first failure (default 1s)' },
  'redelivery-multiplier': { type: 'string', value: 'X', help: 'by which it grows each time (default 2)' },
  'redelivery-max-delay': { type: 'string', value: 'TIME', help: 'the longest wait (default 5m)' },
  'redelivery-jitter': {
    type: 'string',
    value: 'X',
    help: 'the share of a wait that is random, 0 to 1 (default 0.2)',
  },
  database: { type: 'string', value: 'URL', help: 'the database of the application, such as sqlite:FILE' },
  config: { type: 'string', value: 'FILE', help: 'settings (default ./millrace.yaml, if there is one)' },
  memory: { type: 'boolean', help: 'keep everything in memory, and nothing when it ends' },
}

/** The options that are settings of the server, in the order of its table. */
export const settingOptions: readonly SettingFlag[] = [...settingsByFlag.keys()]

function settingSpecs(): Record<SettingFlag, OptionSpec> {
  const specs = [...settingsByFlag].map(([flag, key]): [string, OptionSpec] => {
    const { kind, help } = settings[key]
    const fallback = defaultOf(key)
    const shown = fallback === undefined ? '' : ` (default ${fallback})`
    return [flag, { type: 'string', value: kind.placeholder, help: `${help}${shown}` }]
  })
  return Object.fromEntries(specs) as Record<SettingFlag, OptionSpec>
}

/** Every option of every command; a command names those it takes. */
export const optionSpecs: Readonly<Record<OptionName, OptionSpec>> = { ...ownSpecs, ...settingSpecs() }

const names = Object.keys(optionSpecs) as OptionName[]

export interface ParsedCommandLine {
  readonly positionals: readonly string[]
  readonly options: Options
}

/** Options and positional arguments, in any order; '--' ends the options. Throws UsageError. */
export function parseCommandLine(args: readonly string[]): ParsedCommandLine {
  const { tokens, positionals } = parseArgs({
    args: [...args],
    options: Object.fromEntries(names.map((name) => [name, parserSpec(name)])),
    allowPositionals: true,
    strict: false,
    tokens: true,
  })
  const given = new Map<OptionName, string[]>()
  for (const token of tokens) {
    if (token.kind !== 'option') continue
    const name = knownOption(token.name, token.rawName)
    checkValue(name, token.value, token.inlineValue)
    given.set(name, [...(given.get(name) ?? []), token.value ?? ''])
  }
  return { positionals, options: new Options(given) }
}

function parserSpec(name: OptionName): { type: 'string' | 'boolean'; short?: string; multiple: boolean } {
  const { type, short } = optionSpecs[name]
  return { type, multiple: true, ...(short === undefined ? {} : { short }) }
}

function knownOption(name: string, typed: string): OptionName {
  if (Object.hasOwn(optionSpecs, name)) return name as OptionName
  const hint = suggestion(name, names).replace("'", "'--")
  throw new UsageError(`unknown option ${typed}${hint || "; 'millrace help' lists what there is"}`)
}

function checkValue(name: OptionName, value: string | undefined, inline: boolean | undefined): void {
  const { type, value: called } = optionSpecs[name]
  if (type === 'boolean' && value !== undefined)
    throw new UsageError(`--${name} takes no value; write --${name} alone`)
  if (type === 'boolean') return
  if (value === undefined || value === '')
    throw new UsageError(`--${name} needs a value: --${name} ${called}`)
  if (!inline && value.startsWith('-') && value !== '-')
    throw new UsageError(`--${name} needs a value; if ${value} is meant, write --${name}=${value}`)
}

/** The options of one call. The methods throw UsageError for a value that cannot be used. */
export class Options {
  private readonly given: ReadonlyMap<OptionName, readonly string[]>

  constructor(given: ReadonlyMap<OptionName, readonly string[]>) {
    this.given = given
  }

  get names(): readonly OptionName[] {
    return [...this.given.keys()]
  }

  flag(name: OptionName): boolean {
    return this.given.has(name)
  }

  /** The last value wins, so that an alias of the shell can be overruled. */
  text(name: OptionName): string | undefined {
    return this.given.get(name)?.at(-1)
  }

  oneOf<T extends string>(name: OptionName, choices: readonly T[]): T | undefined {
    const text = this.text(name)
    if (text === undefined || choices.includes(text as T)) return text as T | undefined
    throw new UsageError(`--${name} is one of ${choices.join(', ')}, not ${text}${suggestion(text, choices)}`)
  }

  wholeNumber(name: OptionName, least: number, most: number): number | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
    if (value >= least && value <= most) return value
    const range = most === Number.MAX_SAFE_INTEGER ? `from ${least}` : `from ${least} to ${most}`
    throw new UsageError(`--${name} is a whole number ${range}, not ${text}`)
  }

  /** Such as 2 or 0.5. */
  decimal(name: OptionName, least: number, most: number): number | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN
    if (value >= least && value <= most) return value
    const range = most === Number.POSITIVE_INFINITY ? `from ${least}` : `from ${least} to ${most}`
    throw new UsageError(`--${name} is a number ${range}, not ${text}`)
  }

  /** Separated by commas. */
  durations(name: OptionName): readonly Duration[] | undefined {
    return this.text(name)
      ?.split(',')
      .map((text) => asDuration(name, text.trim()))
  }

  duration(name: OptionName): Duration | undefined {
    const text = this.text(name)
    return text === undefined ? undefined : asDuration(name, text)
  }

  /** A moment as ISO 8601 writes it. */
  moment(name: OptionName): Date | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    const moment = new Date(/^\d{4}-\d\d-\d\d/.test(text) ? text : Number.NaN)
    if (!Number.isNaN(moment.getTime())) return moment
    throw new UsageError(`--${name} is a moment such as 2027-01-31T08:00:00Z, not ${text}`)
  }

  /** Numbers, true and false are sent as such, everything else, and what is in double quotes, as text. */
  properties(name: OptionName): Record<string, PropertyValue> | undefined {
    const pairs = this.given.get(name)?.map((text) => {
      const at = text.indexOf('=')
      if (at <= 0) throw new UsageError(`--${name} is written NAME=VALUE, not ${text}`)
      return [text.slice(0, at), propertyValue(text.slice(at + 1))] as const
    })
    return pairs && Object.fromEntries(pairs)
  }
}

function asDuration(name: OptionName, text: string): Duration {
  if (/^\d+(\.\d+)?(ms|s|m|h|d)$/.test(text)) return text
  if (/^\d+$/.test(text)) return Number(text)
  throw new UsageError(`--${name} is a time such as 250ms, 5s, 2m, 1h or 7d, not ${text}`)
}

function propertyValue(text: string): PropertyValue {
  if (text === 'true' || text === 'false') return text === 'true'
  if (/^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(text)) {
    const value = Number(text)
    return /^-?\d+$/.test(text) && !Number.isSafeInteger(value) ? text : value
  }
  return /^".*"$/s.test(text) ? text.slice(1, -1) : text
}
