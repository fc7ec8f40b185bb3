import { statSync } from 'node:fs'
import { MessageView } from '../client/message-format.ts'
import type { RecoveredQueue } from '../engine/api.ts'
import { departureByReplacement, lastFailureOf } from '../engine/dead-letters.ts'
import { QueueNames } from '../engine/queue-names.ts'
import type { Departure } from '../model/delivery.ts'
import { isMillraceError, MillraceError } from '../model/errors.ts'
import { FORMAT_AMQP10 } from '../model/message.ts'
import {
  type Inspection,
  Inspector,
  type SegmentInspection,
  type SettledMessage,
  type StoredPublication,
} from '../storage/inspect.ts'
import { directoryOwner } from '../storage/lock.ts'
import { NodeDisk } from '../storage/node-disk.ts'
import { directoryOf } from './data-directory.ts'

/** What one file of the journal holds, and which messages keep it. Sizes in bytes. */
export interface InspectedSegment extends Omit<SegmentInspection, 'keptBy'> {
  /** The first live messages in it. */
  readonly keptBy: readonly {
    readonly brokerId: string
    readonly queues: readonly string[]
    readonly bytes: number
  }[]
}

export interface DirectoryInspection extends Omit<Inspection, 'segments'> {
  readonly directory: string
  readonly segments: readonly InspectedSegment[]
  /** Of queues whose declaration was damaged, and of those that a start would find so. A message that others hold too may have left. */
  readonly recoveredQueues: readonly RecoveredQueue[]
}

/**
 * Checks the journal of a `file:` URL whose broker is not running, and changes nothing: what `millrace doctor` prints.
 * Rejects with `url-invalid`, `directory-unusable`, `directory-locked`, `journal-newer`.
 */
export async function inspectDirectory(url: string): Promise<DirectoryInspection> {
  return readUnowned(url, async (directory, inspector) => {
    const names = new QueueNames()
    const inspection = await inspector.inspect(names)
    const segments = inspection.segments.map(({ keptBy, ...segment }) => ({
      ...segment,
      keptBy: keptBy.map(({ lsn, queues, bytes }) => ({
        brokerId: String(lsn),
        queues: queues.map((id) => names.nameOf(id)),
        bytes,
      })),
    }))
    return { directory, ...inspection, segments, recoveredQueues: names.recovered() }
  })
}

/** A message as its journal still knows it. */
export interface JournalTrace {
  readonly brokerId: string
  readonly messageId: string | undefined
  /** The queues it was put into; undefined when only its end is still in the journal. */
  readonly queues: readonly string[] | undefined
  /** Wall milliseconds. */
  readonly publishedAt: number | undefined
  /** Whether a queue still holds it. */
  readonly alive: boolean
  /** How it left queues, as far as that is still in the journal; `became` names the dead letter that was made of it. */
  readonly departures: readonly {
    readonly queue: string
    readonly departure: Departure
    readonly became?: string | undefined
  }[]
}

/** Most traces that one id gives; a message id that somebody has used a thousand times names nothing. */
const MAX_TRACES = 100

/**
 * What the journal of a `file:` URL still knows of the messages of this broker id or message id, and of the dead letters
 * that were made of them. Reads the whole journal, changes nothing, rejects as `inspectDirectory`.
 */
export async function traceMessage(url: string, id: string): Promise<JournalTrace[]> {
  return readUnowned(url, async (_, inspector) => {
    const names = new QueueNames()
    const traces = new Map<number, Trace>()
    for await (const publication of inspector.publications(names)) {
      const trace = new Trace(publication, traces.get(publication.lsn))
      const isMeant = String(trace.lsn) === id || trace.messageId === id || traces.has(trace.replacedLsn)
      if (isMeant && (traces.size < MAX_TRACES || traces.has(trace.lsn))) traces.set(trace.lsn, trace)
    }
    const wanted = new Set(traces.keys())
    if (/^\d+$/.test(id)) wanted.add(Number(id))
    const settled = await inspector.settled(wanted)
    return [...wanted]
      .map((lsn) => describe(lsn, traces, settled, names))
      .filter(({ queues, departures }) => queues !== undefined || departures.length > 0)
  })
}

/** Kept of a publication, whose head is used again for the next. */
class Trace {
  readonly lsn: number
  readonly messageId: string | undefined
  readonly alive: boolean
  readonly queues: readonly number[]
  readonly publishedAt: number
  readonly replacedQueue: number
  readonly replacedLsn: number
  /** The queue where it last became a dead letter. */
  readonly failedIn: string | undefined

  /** A message that was moved to another file comes twice, and is alive in one of them. */
  constructor(publication: StoredPublication, before: Trace | undefined) {
    const { lsn, head, alive } = publication
    this.lsn = lsn
    this.messageId = messageIdOf(publication)
    this.alive = alive || (before?.alive ?? false)
    this.queues = [...head.queues]
    this.publishedAt = head.publishedAt
    this.replacedQueue = head.replacedQueue
    this.replacedLsn = head.replacedLsn
    this.failedIn = lastFailureOf(head)
  }
}

/** Unknown for a large body, whose beginning lies in another operation, and for what cannot be decoded. */
function messageIdOf({ head, bytes }: StoredPublication): string | undefined {
  if (head.format !== FORMAT_AMQP10 || head.payloadStart === head.payloadEnd) return undefined
  try {
    return new MessageView(bytes, head.payloadStart, head.payloadEnd).messageId
  } catch {
    return undefined
  }
}

function describe(
  lsn: number,
  traces: ReadonlyMap<number, Trace>,
  settled: readonly SettledMessage[],
  names: QueueNames,
): JournalTrace {
  const trace = traces.get(lsn)
  const left = settled
    .filter((one) => one.lsn === lsn)
    .map(({ queue, departure }) => ({ queue: names.nameOf(queue), departure }))
  const letters = [...traces.values()]
    .filter(({ replacedLsn }) => replacedLsn === lsn)
    .map(({ replacedQueue, failedIn, lsn: became }) => {
      const queue = names.nameOf(replacedQueue)
      return { queue, departure: departureByReplacement(failedIn, queue), became: String(became) }
    })
  return {
    brokerId: String(lsn),
    messageId: trace?.messageId,
    queues: trace?.queues.map((id) => names.nameOf(id)),
    publishedAt: trace?.publishedAt,
    alive: trace?.alive ?? false,
    departures: [...left, ...letters],
  }
}

async function readUnowned<T>(
  url: string,
  read: (directory: string, inspector: Inspector) => Promise<T>,
): Promise<T> {
  const directory = directoryOf(url)
  if (!statSync(directory, { throwIfNoEntry: false })?.isDirectory())
    throw new MillraceError('directory-unusable', `there is no directory ${directory}`)
  refuseOwned(directory)
  try {
    return await read(directory, new Inspector(new NodeDisk(directory)))
  } catch (cause) {
    // Files that come and go while they are read belong to somebody who has opened the directory meanwhile.
    refuseOwned(directory)
    if (isMillraceError(cause) || (cause as NodeJS.ErrnoException).syscall === undefined) throw cause
    throw new MillraceError(
      'directory-unusable',
      `${directory} cannot be read: ${(cause as Error).message}`,
      {
        cause,
      },
    )
  }
}

function refuseOwned(directory: string): void {
  const owner = directoryOwner(directory)
  if (!owner) return
  throw new MillraceError(
    'directory-locked',
    `${directory} belongs to process ${owner.pid}, since ${owner.since}; end it first`,
  )
}
