import type { ConnectOptions } from '../../src/index.ts'
import type { Probed } from '../probe.ts'

/** Messages of 100 B on disk, and when: at a fixed rate; one sent when the one before has arrived; by senders each of whom
 * sends when the message before is confirmed, and which nobody consumes. */
export type Load =
  | { readonly kind: 'rate'; readonly rate: number }
  | { readonly kind: 'one in flight' }
  | { readonly kind: 'senders'; readonly senders: number }

/** What the client is asked for. */
export type Order =
  | {
      readonly do: 'connect'
      readonly url: string
      readonly options: Pick<ConnectOptions, 'tls' | 'thread'>
    }
  | { readonly do: 'load'; readonly load: Load; readonly seconds: number }
  | { readonly do: 'upkeep'; readonly bytes: number; readonly rate: number; readonly seconds: number }
  | { readonly do: 'close' }

/** What it has seen. Times in milliseconds. */
export interface Seen {
  readonly messages: number
  readonly times: Float64Array
  /** Of its own process. */
  readonly probed: Probed
}
