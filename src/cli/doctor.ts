import { resolve } from 'node:path'
import { type DirectoryInspection, type InspectedSegment, inspectDirectory } from '../index.ts'
import { type Call, type Command, takeOperands } from './command.ts'
import { ExitCode } from './exit-code.ts'
import { byteSize, plural } from './output.ts'
import { UsageError } from './usage-error.ts'

export const doctor: Command = {
  name: 'doctor',
  synopsis: '[DIR]',
  summary: 'check a journal, and say which messages keep which file',
  details: [
    'Reads the directory DIR, or that of --url, whose broker must not be running; it changes nothing.',
    'Lists damage, what is in quarantine, and for each file the messages for which it is kept.',
    'With --json, one document: {"healthy", "segments", "checkpoints", "damage", "quarantine", …}.',
  ],
  options: [],
  run,
}

async function run(call: Call): Promise<number> {
  const [directory] = takeOperands(call, 0, 1)
  if (directory !== undefined && call.options.flag('url'))
    throw new UsageError('doctor takes a directory or --url, not both')
  if (directory === undefined && !/^file:/i.test(call.url))
    throw new UsageError(`doctor reads a directory; ${call.url} has none, give one as file:DIR`)
  const inspection = await inspectDirectory(directory === undefined ? call.url : `file:${resolve(directory)}`)
  const healthy = isHealthy(inspection)
  if (call.out.json) await call.out.document({ healthy, ...inspection })
  else await call.out.line(report(inspection).join('\n'))
  return healthy ? ExitCode.ok : ExitCode.damaged
}

function isHealthy({ damage, quarantine, checkpoints, segments }: DirectoryInspection): boolean {
  if (damage.length > 0 || quarantine.length > 0) return false
  return checkpoints.every(({ whole }) => whole) && segments.every((segment) => segment.damage.length === 0)
}

function report(inspection: DirectoryInspection): string[] {
  const { directory, segments, tornBytes, operationsToReplay } = inspection
  const bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0)
  const alive = segments.reduce((sum, segment) => sum + segment.liveMessages, 0)
  return [
    directory,
    `  ${plural(alive, 'message')} in ${plural(segments.length, 'file')} of ${byteSize(bytes)}`,
    `  a start replays ${plural(operationsToReplay, 'operation')}`,
    ...(tornBytes > 0
      ? [
          `  and cuts ${plural(tornBytes, 'byte')} at the end that were never confirmed, as a crash leaves them`,
        ]
      : []),
    '',
    ...checkpointLines(inspection),
    ...segments.map(describeSegment),
    '',
    ...damageLines(inspection),
  ]
}

function checkpointLines({ checkpoints }: DirectoryInspection): string[] {
  return checkpoints.map(({ file, bytes, whole, lsn }) =>
    whole ? `${file}: ${byteSize(bytes)}, whole, up to ${lsn}` : `${file}: ${byteSize(bytes)}, DAMAGED`,
  )
}

function describeSegment(segment: InspectedSegment): string {
  const { file, bytes, liveBytes, liveMessages, liveChunks, obsolete, keptBy } = segment
  if (liveMessages === 0 && liveChunks === 0) {
    const why = obsolete
      ? 'a checkpoint that is still kept names it'
      : 'it goes with one of the next checkpoints'
    return `${file}: ${byteSize(bytes)}, nothing alive; ${why}`
  }
  const pieces = liveChunks > 0 ? ` and ${plural(liveChunks, 'piece')} of large bodies` : ''
  const alive = `${byteSize(liveBytes)} alive in ${plural(liveMessages, 'message')}${pieces}`
  return `${file}: ${byteSize(bytes)}, ${alive}${keptBy.length > 0 ? `, kept by ${keepers(segment)}` : ''}`
}

/** The first messages by the id that `why` takes, with their queues. */
function keepers({ keptBy, liveMessages }: InspectedSegment): string {
  const byQueues = Map.groupBy(keptBy, ({ queues }) => queues.join(' and '))
  const texts = [...byQueues].map(([queues, messages]) => {
    const ids = messages.map(({ brokerId }) => brokerId).join(', ')
    return queues === '' ? ids : `${ids} in ${queues}`
  })
  const rest = liveMessages - keptBy.length
  return rest > 0 ? `${texts.join('; ')}; and ${rest} more` : texts.join('; ')
}

function damageLines(inspection: DirectoryInspection): string[] {
  const { damage, quarantine, segments, checkpoints, recoveredQueues } = inspection
  const found = [
    ...damage,
    ...segments
      .flatMap((segment) => segment.damage)
      .filter((one) => !damage.some((known) => covers(known, one))),
  ]
  const lines = found.map(
    ({ file, offset, length, reason }) =>
      `DAMAGE  ${file}, ${plural(length, 'byte')} at ${offset}: ${reason}; a start will put a copy in quarantine`,
  )
  for (const { file, whole } of checkpoints) {
    if (!whole) lines.push(`DAMAGE  ${file}; a start will use the one before it, or read the whole journal`)
  }
  for (const { file, offset, length, reason, keptAs, firstLsn, lastLsn } of quarantine) {
    const lost = firstLsn === undefined ? '' : `, messages ${firstLsn} to ${lastLsn} may be among it`
    lines.push(
      `QUARANTINE  ${plural(length, 'byte')} of ${file} at ${offset}: ${reason}${lost}${keptAs ? `; kept as ${keptAs}` : ''}`,
    )
  }
  if (lines.length === 0) lines.push('No damage, and nothing in quarantine.')
  for (const { name, messages } of recoveredQueues) {
    lines.push(`RECOVERED  ${name}, ${plural(messages, 'message')} of a queue whose declaration was damaged`)
  }
  return lines
}

interface Range {
  readonly file: string
  readonly offset: number
  readonly length: number
}

function covers(known: Range, one: Range): boolean {
  return (
    known.file === one.file &&
    known.offset <= one.offset &&
    known.offset + known.length >= one.offset + one.length
  )
}
