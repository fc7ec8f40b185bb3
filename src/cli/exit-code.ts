/** What the command answers to the shell; docs/cli.md explains each. */
export const ExitCode = {
  ok: 0,
  failed: 1,
  usage: 2,
  nothing: 3,
  damaged: 4,
  journalFailed: 5,
  cut: 6,
  interrupted: 130,
} as const

export const exitCodes: readonly (readonly [number, string])[] = [
  [ExitCode.ok, 'done; also: the reader of the output went away, or --follow or serve was stopped'],
  [ExitCode.failed, 'an operation failed; the error on stderr has a code, explained in docs/errors/CODE.md'],
  [ExitCode.usage, 'the command line or the configuration is wrong'],
  [ExitCode.nothing, 'nothing was received or found, or fewer messages than --count'],
  [ExitCode.damaged, 'doctor found damage or something in quarantine'],
  [ExitCode.journalFailed, 'the disk failed while something was written; nothing more was confirmed'],
  [ExitCode.cut, 'serve was stopped, and had not answered everything by its deadline'],
  [ExitCode.interrupted, 'stopped by SIGINT or SIGTERM before it was done'],
]
