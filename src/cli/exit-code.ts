/** What the command answers to the shell; docs/cli.md explains each. */
export const ExitCode = {
  ok: 0,
  failed: 1,
  usage: 2,
  nothing: 3,
  damaged: 4,
  interrupted: 130,
} as const

export const exitCodes: readonly (readonly [number, string])[] = [
  [ExitCode.ok, 'done; also: the reader of the output went away, or --follow was stopped'],
  [ExitCode.failed, 'an operation failed; the error on stderr has a code, explained in docs/errors/CODE.md'],
  [ExitCode.usage, 'the command line is wrong'],
  [ExitCode.nothing, 'nothing was received or found, or fewer messages than --count'],
  [ExitCode.damaged, 'doctor found damage or something in quarantine'],
  [ExitCode.interrupted, 'stopped by SIGINT or SIGTERM before it was done'],
]
