/** Timers of the host take no longer delay, and would fire at once. */
export const LONGEST_TIMEOUT: number = 2 ** 31 - 1

/**
 * Calls back when the present turn and everything it made ready has run, so that what a whole turn asks for becomes one
 * batch: a microtask alone would run between the continuations of one batch of confirms.
 */
export function afterTurn(callback: () => void): void {
  setImmediate(callback)
}

/** The outcome of `promise`, unless `signal` is aborted first: then its reason. What was begun is not undone. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise
  if (signal.aborted) {
    promise.catch(() => {})
    return Promise.reject(signal.reason)
  }
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

/** Whether `promise` settles within `timeout` milliseconds. Undefined: waits for it. Its rejection is passed on. */
export async function settlesWithin(
  promise: Promise<unknown>,
  timeout: number | undefined,
): Promise<boolean> {
  if (timeout === undefined) {
    await promise
    return true
  }
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, Math.min(timeout, LONGEST_TIMEOUT), false)
  })
  try {
    return await Promise.race([promise.then(() => true), deadline])
  } finally {
    clearTimeout(timer)
  }
}
