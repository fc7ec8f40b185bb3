interface Subscribers {
  readonly do: 'subscribers'
  readonly directory: string
  readonly count: number
  readonly deliveries: number
  /** Of the client; the engine is asked for durable ones. */
  readonly durable: boolean
}

/** What the engine on its journal is asked for. */
export type EngineOrder =
  | {
      readonly do: 'queues'
      readonly directory: string
      readonly count: number
      readonly messages: number
    }
  | Subscribers

/** What the client is asked for. */
export type ClientOrder =
  | Subscribers
  | { readonly do: 'bodies'; readonly url: string; readonly size: number; readonly seconds: number }

/** What one of them has measured. */
export interface Growth {
  /** Messages or deliveries a second. */
  readonly rate: number
  /** Microseconds on processors for each. */
  readonly processor: number
  /** Bytes of memory that one costs which has nothing to do. */
  readonly idleBytes?: number
}
