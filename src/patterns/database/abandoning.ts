/**
 * The outcome of `work`, unless `signal` is aborted first: then its reason. What `work` comes to later is nobody's concern,
 * because the transaction that it worked in has been taken from it.
 */
export async function unlessAborted<R>(
  work: () => R | Promise<R>,
  signal: AbortSignal | undefined,
): Promise<R> {
  if (!signal) return work()
  signal.throwIfAborted()
  const aborted = Promise.withResolvers<never>()
  const abort = () => aborted.reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  try {
    const working = Promise.resolve(work())
    working.catch(() => {})
    return await Promise.race([working, aborted.promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
