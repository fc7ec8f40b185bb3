import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { type Call, type Command, takeOperands } from './command.ts'
import { ExitCode } from './exit-code.ts'
import { readLines } from './lines.ts'
import { UsageError } from './usage-error.ts'

export const passwd: Command = {
  name: 'passwd',
  synopsis: '',
  summary: 'make the line that stands for a password in millrace.yaml',
  details: [
    'Asks for the password, or takes the first line of standard input. The line holds an scrypt hash and the keys',
    'of SCRAM-SHA-256; nobody can log in with it. With --json, one document: {"password": LINE}.',
  ],
  options: [],
  run,
}

const MOST_BYTES = 1024

async function run(call: Call): Promise<number> {
  takeOperands(call, 0, 0)
  const password = call.streams.stdin.isTTY ? await ask(call) : await firstLine(call)
  if (password === '') throw new UsageError('the password is empty; type one, or pipe it in')
  const { hashPassword } = await import('../server/auth/credentials.ts')
  const line = await hashPassword(password)
  await (call.out.json ? call.out.document({ password: line }) : call.out.line(line))
  return ExitCode.ok
}

async function firstLine({ streams }: Call): Promise<string> {
  for await (const { body } of readLines(streams.stdin, MOST_BYTES)) {
    if (typeof body !== 'string') throw new UsageError('the password is not UTF-8')
    return body
  }
  return ''
}

/** Twice, because it cannot be seen. */
async function ask(call: Call): Promise<string> {
  const first = await askOnce(call, 'Password: ')
  const second = await askOnce(call, 'Again: ')
  if (first !== second) throw new UsageError('the two are not the same; try again')
  return first
}

async function askOnce({ streams, signal }: Call, prompt: string): Promise<string> {
  streams.stderr.write(prompt)
  const mute = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input: streams.stdin, output: mute, terminal: true })
  try {
    return await lines.question('', { signal })
  } finally {
    lines.close()
    streams.stderr.write('\n')
  }
}
