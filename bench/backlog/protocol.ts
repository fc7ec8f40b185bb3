/** So many queues, from the one with this number on; 0 unless said otherwise. */
export interface Queues {
  readonly first?: number
  readonly queues: number
}

/** What the parent asks of the process with the broker. */
export type Request =
  | { readonly do: 'open' }
  | { readonly do: 'declare'; readonly queues: number }
  /** To the queues in turn. */
  | ({ readonly do: 'publish'; readonly count: number } & Queues)
  /** With `stay` the consumers are there for the next drain of the same queues, which must come next. */
  | ({ readonly do: 'drain'; readonly count: number; readonly stay?: boolean } & Queues)
  | ({ readonly do: 'drain in turn' } & Queues)
  | { readonly do: 'keep up'; readonly count: number; readonly slow: boolean }
  | { readonly do: 'wait'; readonly milliseconds: number }
  | { readonly do: 'close' }

/** What it answers when that is done. */
export interface Facts {
  /** Messages that it was about; of 'open', operations that were replayed. */
  readonly count: number
  readonly milliseconds: number
  /** Time on processors: milliseconds. */
  readonly processor: number
  /** The longest that the event loop was not looked after: milliseconds. */
  readonly longestDelay: number
  readonly reads: number
  readonly bytesRead: number
  readonly bytesWritten: number
  readonly syncs: number
  /** In all queues, afterwards. */
  readonly messages: number
  readonly diskBytes: number
  readonly heap: number
  readonly buffers: number
}
