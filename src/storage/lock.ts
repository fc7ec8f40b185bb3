import * as fs from 'node:fs'
import * as path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { MillraceError } from '../model/errors.ts'
import { makeDirectory } from './make-directory.ts'

const LOCK_FILE = 'lock.db'
/** For people and messages only: the lock is in the database, and this file may be left behind. */
const OWNER_FILE = 'owner.json'

/** A data directory that this process owns. */
export interface DirectoryLock {
  /** Lets others have it. Idempotent. */
  release(): void
}

/** Who owns a directory, as far as is known. */
export interface DirectoryOwner {
  readonly pid: number
  /** ISO 8601. */
  readonly since: string
}

/**
 * Makes this process the owner of `directory`, which is created if need be. An exclusive transaction on a database
 * file holds the lock, so that the kernel lets go of it when the process ends, however it ends.
 * Throws `directory-locked`, `directory-unusable`.
 */
export function lockDirectory(directory: string): DirectoryLock {
  makeUsable(directory)
  const database = begin(directory)
  const owner: DirectoryOwner = { pid: process.pid, since: new Date().toISOString() }
  const ownerFile = path.join(directory, OWNER_FILE)
  fs.writeFileSync(ownerFile, `${JSON.stringify(owner)}\n`, { mode: 0o600 })
  let isHeld = true
  return {
    release: () => {
      if (!isHeld) return
      isHeld = false
      fs.rmSync(ownerFile, { force: true })
      database.close()
    },
  }
}

/** The process that owns `directory`; undefined when nobody does. Leaves nothing behind. */
export function directoryOwner(directory: string): DirectoryOwner | undefined {
  if (!fs.existsSync(path.join(directory, LOCK_FILE))) return undefined
  try {
    begin(directory).close()
    return undefined
  } catch (error) {
    if (error instanceof MillraceError && error.code === 'directory-locked') return readOwner(directory)
    throw error
  }
}

function begin(directory: string): DatabaseSync {
  let database: DatabaseSync | undefined
  try {
    database = new DatabaseSync(path.join(directory, LOCK_FILE))
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
    return database
  } catch (cause) {
    database?.close()
    if (isBusy(cause)) throw locked(directory, cause)
    throw unusable(directory, cause)
  }
}

/** SQLITE_BUSY and SQLITE_LOCKED. */
function isBusy(error: unknown): boolean {
  const code = (error as { errcode?: number }).errcode
  return code === 5 || code === 6
}

function locked(directory: string, cause: unknown): MillraceError {
  const owner = readOwner(directory)
  const who = owner.pid > 0 ? `process ${owner.pid}, since ${owner.since}` : 'another process'
  return new MillraceError(
    'directory-locked',
    `${directory} is owned by ${who}; only one process can own it`,
    {
      cause,
    },
  )
}

function readOwner(directory: string): DirectoryOwner {
  try {
    const owner = JSON.parse(fs.readFileSync(path.join(directory, OWNER_FILE), 'utf8')) as DirectoryOwner
    return { pid: Number(owner.pid), since: String(owner.since) }
  } catch {
    return { pid: 0, since: '' }
  }
}

function makeUsable(directory: string): void {
  try {
    makeDirectory(directory)
    fs.accessSync(directory, fs.constants.R_OK | fs.constants.W_OK | fs.constants.X_OK)
  } catch (cause) {
    throw unusable(directory, cause)
  }
}

function unusable(directory: string, cause: unknown): MillraceError {
  return new MillraceError(
    'directory-unusable',
    `${directory} cannot be used as a data directory: ${(cause as Error).message}`,
    { cause },
  )
}
