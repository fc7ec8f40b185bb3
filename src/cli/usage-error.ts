/** The command line is wrong. The message is one line that says what to do. */
export class UsageError extends Error {
  override readonly name: string = 'UsageError'
}

/** SIGINT or SIGTERM asked to stop. */
export class Interrupted extends Error {
  override readonly name: string = 'Interrupted'
}
