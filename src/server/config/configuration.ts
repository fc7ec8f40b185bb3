import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { parseDocument } from 'yaml'
import { MillraceError } from '../../model/errors.ts'
import { Mistake } from './kinds.ts'
import {
  type Configuration,
  flagOf,
  IN_MEMORY,
  type Setting,
  settingKeys,
  settings,
  variableOf,
} from './settings.ts'

/** Where a configuration comes from. */
export interface ConfigurationSources {
  /** By setting; what the command line gave. */
  readonly flags: ReadonlyMap<keyof Configuration, string>
  readonly environment: Readonly<Record<string, string | undefined>>
  /** The file of --config; without, millrace.yaml in the working directory, if there is one. */
  readonly file: string | undefined
  readonly directory: string
  /** Words for a name that is not known: `; did you mean …?`, or nothing. */
  readonly suggest: (typed: string, known: readonly string[]) => string
}

const DEFAULT_FILE = 'millrace.yaml'
const FILE_VARIABLE = 'MILLRACE_CONFIG'

type AnySetting = Setting<unknown>

const table = settingKeys.map((key) => [key, settings[key] as AnySetting] as const)

/**
 * Flags go before the environment, the environment before the file. Names of files and directories in the file are relative
 * to it. Throws `argument-invalid` for the first mistake, with where it is and what to write instead.
 */
export function readConfiguration(sources: ConfigurationSources): Configuration {
  const { flags, environment } = sources
  checkVariables(sources)
  const name = sources.file ?? environment[FILE_VARIABLE]
  const file = readFile(sources, name)
  const values: Record<string, unknown> = {}
  const given = new Set<string>()
  for (const [key, setting] of table) {
    const flag = flags.get(key)
    const variable = setting.fileOnly ? undefined : variableFor(environment, variableOf(setting.path))
    const inFile = file.values.get(setting.path)
    if (flag !== undefined) values[key] = read(setting, flag, `--${flagOf(setting.path)}`)
    else if (variable !== undefined && variable !== '')
      values[key] = read(setting, variable, variableOf(setting.path))
    else if (inFile !== undefined)
      values[key] = relative(key, read(setting, inFile, `${file.name}: ${setting.path}`), file)
    else {
      values[key] = setting.fallback
      continue
    }
    given.add(key)
  }
  return withFreePorts(values as unknown as Configuration, given)
}

/** Port 0 makes the ports free that nobody has named. */
function withFreePorts(configuration: Configuration, given: ReadonlySet<string>): Configuration {
  if (configuration.port !== 0) return configuration
  return {
    ...configuration,
    tlsPort: given.has('tlsPort') ? configuration.tlsPort : 0,
    httpPort: given.has('httpPort') ? configuration.httpPort : 0,
  }
}

function read(setting: AnySetting, value: unknown, where: string): unknown {
  let result: unknown
  try {
    result = setting.kind.read(value)
  } catch (error) {
    if (error instanceof Mistake) throw wrong(`${where}${error.message}`)
    throw error
  }
  if (result !== undefined) return result
  throw wrong(`${where} is ${setting.kind.what}, not ${JSON.stringify(value)}`)
}

const paths: ReadonlySet<keyof Configuration> = new Set(['data', 'tlsCert', 'tlsKey', 'tlsCa'])

function relative(key: keyof Configuration, value: unknown, file: SettingsFile): unknown {
  return paths.has(key) && value !== IN_MEMORY ? resolve(dirname(file.path), value as string) : value
}

function wrong(message: string, cause?: unknown): MillraceError {
  return new MillraceError('argument-invalid', message, { cause })
}

/** Kubernetes and Docker describe a service of that name to its neighbours in variables that look like ours. */
function variableFor(environment: ConfigurationSources['environment'], name: string): string | undefined {
  const value = environment[name]
  return value === undefined || /^(tcp|udp):\/\//.test(value) ? undefined : value
}

const ofServices = /^MILLRACE_(SERVICE_|PORT_\d)/

/** A misspelt variable would be passed over without a word. */
function checkVariables({ environment, suggest }: ConfigurationSources): void {
  const known = [
    FILE_VARIABLE,
    ...table.filter(([, { fileOnly }]) => !fileOnly).map(([, { path }]) => variableOf(path)),
  ]
  const stranger = Object.keys(environment).find(
    (name) => /^MILLRACE_/.test(name) && !ofServices.test(name) && !known.includes(name),
  )
  if (stranger !== undefined)
    throw wrong(
      `the environment variable ${stranger} is no setting${suggest(stranger, known)}; unset it, or set the one that is meant`,
    )
}

interface SettingsFile {
  readonly name: string
  readonly path: string
  /** By the path of the setting. */
  readonly values: ReadonlyMap<string, unknown>
}

function readFile(sources: ConfigurationSources, asked: string | undefined): SettingsFile {
  const name = asked ?? DEFAULT_FILE
  const path = resolve(sources.directory, name)
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    if (asked === undefined && (cause as NodeJS.ErrnoException).code === 'ENOENT')
      return { name, path, values: new Map() }
    throw wrong(`cannot read the configuration ${name}: ${(cause as Error).message}`, cause)
  }
  return { name, path, values: valuesOf(name, text, sources) }
}

function valuesOf(name: string, text: string, { suggest }: ConfigurationSources): Map<string, unknown> {
  const document = parseDocument(text)
  const [error] = document.errors
  // The rest of the message is a drawing of several lines.
  if (error) throw wrong(`${name} is not YAML: ${error.message.split('\n')[0]!.replace(/:$/, '')}`, error)
  const root: unknown = document.toJS({ maxAliasCount: 100 })
  const values = new Map<string, unknown>()
  const known = table.map(([, setting]) => setting.path)
  if (root !== null && root !== undefined) flatten(root, '', values, name, known, suggest)
  return values
}

function flatten(
  value: unknown,
  path: string,
  values: Map<string, unknown>,
  name: string,
  known: readonly string[],
  suggest: ConfigurationSources['suggest'],
): void {
  const where = path === '' ? name : `${name}: ${path}`
  const inside = known.filter((each) => path === '' || each.startsWith(`${path}.`))
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw wrong(`${where} has keys such as ${inside[0]!.split('.').at(-1)}; it is ${JSON.stringify(value)}`)
  for (const [key, below] of Object.entries(value)) {
    const full = path === '' ? key : `${path}.${key}`
    if (known.includes(full)) values.set(full, below ?? undefined)
    else if (known.some((each) => each.startsWith(`${full}.`))) {
      if (below !== null) flatten(below, full, values, name, known, suggest)
    } else {
      const hint = suggest(full, [...known, ...new Set(known.map((each) => each.split('.')[0]!))])
      throw wrong(`${name}: there is no setting ${full}${hint || '; docs/server.md lists what there is'}`)
    }
  }
}
