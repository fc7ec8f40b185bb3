import { migrate, openOutbox, outboxSchema } from '../patterns/index.ts'
import { withBroker } from './broker.ts'
import { type Call, type Command, takeOperands } from './command.ts'
import { withDatabase } from './database.ts'
import { ExitCode } from './exit-code.ts'
import { byteSize, oneLine, plural, table } from './output.ts'
import { UsageError } from './usage-error.ts'
import { age } from './watch.ts'

export const outbox: Command = {
  name: 'outbox',
  synopsis: 'ACTION [ID] --database URL [--count N]',
  summary: 'show and repair what an application has committed and no broker has confirmed',
  details: [
    'ACTION is one of',
    '  report        what is in the outbox: figures, and the messages that have failed most often',
    '  resend [ID]   send everything, or what is due and the message ID, to the broker of --url, now',
    '  discard ID    give a message up; it will not be sent any more',
    '  migrate       make the tables of an outbox, or bring them to this version',
    'URL of the database is sqlite:FILE, postgres://…, mysql://… or mariadb://…; its driver, pg or mysql2, is that of',
    'the project in the working directory. Exit code 3 when nothing is in the outbox, or no message of this ID.',
    'With --json, one document.',
  ],
  options: ['database', 'count'],
  run,
}

type Action = (call: Call, id: string | undefined, url: string) => Promise<number>

const actions: Readonly<Record<string, Action>> = { report, resend, discard, migrate: prepareTables }

async function run(call: Call): Promise<number> {
  const [name, id] = takeOperands(call, 1, 2)
  const url = call.options.text('database')
  const action = Object.hasOwn(actions, name!) ? actions[name!] : undefined
  const takesId = name === 'resend' || name === 'discard'
  if (!action || (id !== undefined && !takesId) || (name === 'discard' && id === undefined))
    throw new UsageError(`usage: millrace ${outbox.name} ${outbox.synopsis}`)
  if (url === undefined) throw new UsageError('outbox needs the database of the application: --database URL')
  return action(call, id, url)
}

async function report({ out, options }: Call, _id: string | undefined, url: string): Promise<number> {
  const limit = options.wholeNumber('count', 0, 10_000) ?? 20
  const found = await withDatabase(url, async (database) =>
    (await openOutbox({ database })).report({ limit }),
  )
  const code = found.messages > 0 ? ExitCode.ok : ExitCode.nothing
  if (out.json) {
    await out.document(found)
    return code
  }
  const { messages, bytes, oldest, claimed, failing, poison, entries } = found
  if (messages === 0) {
    await out.line('the outbox is empty: everything committed is confirmed')
    return code
  }
  await out.line(
    `${plural(messages, 'message')} (${byteSize(bytes)}) not confirmed, the oldest for ${age(oldest ?? 0)}; ${claimed} on their way, ${failing} failing, ${poison} poison`,
  )
  const rows = entries.map((entry) => [
    entry.messageId,
    entry.key === undefined ? '-' : oneLine(entry.key),
    oneLine(entry.destination),
    byteSize(entry.size),
    age(entry.age),
    entry.failures,
    entry.poison ? 'poison' : entry.failures > 0 ? 'failing' : 'waiting',
    entry.error === undefined ? '' : oneLine(entry.error),
  ])
  if (rows.length > 0)
    await out.line(table(['ID', 'KEY', 'TO', 'SIZE', 'AGE', 'FAILED', 'STATE', 'LAST ERROR'], rows))
  return code
}

async function resend(call: Call, messageId: string | undefined, url: string): Promise<number> {
  const { out } = call
  const done = await withDatabase(url, async (database) => {
    const opened = await openOutbox({ database })
    return withBroker(call, (mq) => opened.resend(mq, { messageId }))
  })
  const { sent, expired, failed, left } = done
  await (out.json
    ? out.document(done)
    : out.line(`${plural(sent, 'message')} sent, ${expired} expired, ${failed} refused, ${left} left`))
  return ExitCode.ok
}

async function discard({ out }: Call, id: string | undefined, url: string): Promise<number> {
  const found = await withDatabase(url, async (database) => (await openOutbox({ database })).discard(id!))
  const told = found ? `message ${id} discarded` : `there is no message ${id} in the outbox, any more`
  await (out.json ? out.document({ discarded: found ? id : null }) : out.line(told))
  return found ? ExitCode.ok : ExitCode.nothing
}

async function prepareTables({ out }: Call, _id: string | undefined, url: string): Promise<number> {
  const before = await withDatabase(url, (database) => migrate(database, outboxSchema))
  const now = outboxSchema.versions.length
  const told =
    before === now
      ? `the tables of the outbox have version ${now}`
      : `the tables of the outbox were brought to version ${now}`
  await (out.json ? out.document({ before, version: now }) : out.line(told))
  return ExitCode.ok
}
