import { MillraceError } from '../model/errors.ts'
import { Connection, type ConnectionOptions } from './connection.ts'
import { Context } from './context.ts'
import type { Provider } from './provider.ts'
import type { SessionOptions } from './session.ts'

const providers = new Map<string, Provider>()

/** Makes the schemes of a provider known to `connect`. The package does this for the providers it brings along. */
export function registerProvider(provider: Provider): void {
  for (const scheme of provider.schemes) providers.set(scheme, provider)
}

export interface ConnectOptions extends ConnectionOptions {
  /** Takes the place of the provider that the scheme names, for one that has been given options. */
  readonly provider?: Provider | undefined
}

/** Makes connections to one broker, or to the first of several that answers (JMS ConnectionFactory). */
export class ConnectionFactory {
  private readonly urls: readonly string[]
  private readonly options: ConnectOptions

  /** Throws `url-invalid`. */
  constructor(url: string | readonly string[], options: ConnectOptions = {}) {
    const urls = typeof url === 'string' ? [url] : [...url]
    this.options = options
    if (urls.length === 0) throw new MillraceError('url-invalid', 'no URL was given')
    const [first, ...others] = urls.map((each) => this.provider(each))
    const together = urls.length > 1 && others.every((other) => other === first) && first!.join
    this.urls = together ? [together(urls)] : urls
  }

  /** A stopped connection. Rejects with what kept the last URL from answering. */
  async createConnection(options: ConnectionOptions = {}): Promise<Connection> {
    let failure: unknown
    for (const url of this.urls) {
      try {
        return await Connection.open(this.provider(url), url, { ...this.options, ...options })
      } catch (error) {
        failure = error
      }
    }
    throw failure
  }

  /** A started connection with a context on top. */
  async createContext(options: ConnectionOptions & SessionOptions = {}): Promise<Context> {
    return Context.open(await this.createConnection(options), options)
  }

  private provider(url: string): Provider {
    const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]?.toLowerCase()
    const known = this.options.provider?.schemes ?? [...providers.keys()]
    if (scheme !== undefined && known.includes(scheme)) return this.options.provider ?? providers.get(scheme)!
    const names = known.map((name) => `${name}:`).join(', ')
    throw new MillraceError(
      'url-invalid',
      scheme === undefined
        ? `${JSON.stringify(url)} is not a URL; it begins with one of ${names}`
        : `nothing is known to connect to ${JSON.stringify(`${scheme}:`)}; the known schemes are ${names}`,
    )
  }
}

/**
 * Connects to a broker, or to the first of several URLs that answers. Rejects with `url-invalid`, `client-id-invalid`, the
 * reason of `signal`, and what the provider reports, such as `directory-locked`.
 */
export async function connect(
  url: string | readonly string[],
  options: ConnectOptions = {},
): Promise<Context> {
  return new ConnectionFactory(url, options).createContext()
}
