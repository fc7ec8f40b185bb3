/** What may be in flight at once: so many sends, of so many messages. */
export interface Bounds {
  readonly sends: number
  readonly messages: number
}

/**
 * For clients that send what they are handed in one request each: what comes while as many sends are in flight as may be goes
 * out together, as the clients of Kafka in other languages do it.
 */
export function gather(
  sendAll: (numbers: readonly number[]) => Promise<unknown>,
  { sends, messages }: Bounds,
): (number: number) => Promise<void> {
  interface Waiting {
    readonly number: number
    readonly done: PromiseWithResolvers<void>
  }
  let waiting: Waiting[] = []
  let inFlight = 0
  const next = async (): Promise<void> => {
    const batch = waiting.slice(0, messages)
    waiting = waiting.slice(messages)
    inFlight++
    try {
      await sendAll(batch.map(({ number }) => number))
      for (const { done } of batch) done.resolve()
    } catch (error) {
      for (const { done } of batch) done.reject(error)
    }
    inFlight--
    flush()
  }
  // In the next turn, so that what is sent in this one goes together.
  const flush = (): void => {
    setImmediate(() => {
      while (waiting.length > 0 && inFlight < sends) void next()
    })
  }
  return (number) => {
    const done = Promise.withResolvers<void>()
    if (waiting.push({ number, done }) === 1) flush()
    return done.promise
  }
}
