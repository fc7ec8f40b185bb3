import { MillraceError } from '../model/errors.ts'
import type { DiskIo } from './disk-io.ts'
import {
  CHECKPOINT_DRAFT,
  checkpointPath,
  FILE_HEADER,
  type FileHeader,
  FORMAT_VERSION,
  JOURNAL_FOLDER,
  KNOWN_FEATURES,
  PAGES_FILE,
  parseCheckpointName,
  parseSegmentName,
  RESERVE_FILE,
  readFileHeader,
  segmentPath,
} from './format.ts'

export interface SurveyedFile {
  readonly number: number
  readonly kind: number
  readonly path: string
  readonly size: number
  /** Undefined when damaged. */
  readonly header: FileHeader | undefined
}

/** What lies in a directory, before anything is done with it. */
export interface Survey {
  /** Numbers, newest first. */
  readonly checkpoints: readonly number[]
  /** Segments and clusters by rising number. */
  readonly files: readonly SurveyedFile[]
  readonly reserveBytes: number
  readonly draft: boolean
  /** Highest epoch in any header; 0 in a new directory. */
  readonly epoch: number
  /** Bytes of the page file. */
  readonly pageBytes: number
}

/** Lists a directory and reads the headers. Throws `journal-newer` when one was written by a newer format. */
export async function surveyDirectory(io: DiskIo): Promise<Survey> {
  const root = await io.list('')
  const checkpoints = root
    .map(({ name }) => parseCheckpointName(name))
    .filter((number) => number !== undefined)
    .sort((a, b) => b - a)
  const files: SurveyedFile[] = []
  for (const { name, size } of await io.list(JOURNAL_FOLDER)) {
    const parsed = parseSegmentName(name)
    if (!parsed) continue
    const path = segmentPath(parsed.kind, parsed.number)
    files.push({ ...parsed, path, size, header: await headerOf(io, path) })
  }
  files.sort((a, b) => a.number - b.number)
  let epoch = Math.max(0, ...files.map(({ header }) => header?.epoch ?? 0))
  for (const number of checkpoints) {
    epoch = Math.max(epoch, (await headerOf(io, checkpointPath(number)))?.epoch ?? 0)
  }
  return {
    checkpoints,
    files,
    epoch,
    reserveBytes: root.find(({ name }) => name === RESERVE_FILE)?.size ?? 0,
    draft: root.some(({ name }) => name === CHECKPOINT_DRAFT),
    pageBytes: root.find(({ name }) => name === PAGES_FILE)?.size ?? 0,
  }
}

async function headerOf(io: DiskIo, path: string): Promise<FileHeader | undefined> {
  const { file } = await io.open(path, 'read')
  const { bytes } = await io.readPatiently(file, 0, FILE_HEADER)
  await io.close(file)
  const header = readFileHeader(bytes)
  if (header) refuseNewer(header, path)
  return header
}

function refuseNewer(header: FileHeader, path: string): void {
  const unknown = header.features & ~KNOWN_FEATURES
  if (header.version <= FORMAT_VERSION && unknown === 0) return
  throw new MillraceError(
    'journal-newer',
    `${path} was written in format ${header.version} with features ${header.features}; this version reads up to ` +
      `format ${FORMAT_VERSION}. Use the version that wrote the directory, or a newer one; nothing was changed`,
  )
}
