import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import * as path from 'node:path'
import { type Served, Serving } from './serving.ts'

const SOCKET = 'attach.sock'
/** Bound under this name and renamed when only the owner may open it; it is of the same length. */
const UNFINISHED = 'attach.temp'
/** Says where the socket is, because its path may be too long for one in the directory. */
const POINTER = 'attach.json'

/** Addresses of sockets are this short everywhere (sun_path of macOS, less its end). Bytes. */
const LONGEST_PATH = 103

/** The socket at which the owner of a directory serves the other processes that use it. */
export class AttachPoint {
  private readonly directory: string
  private readonly folder: string
  private serving: Serving | undefined

  /**
   * Announces that the owner of the directory will serve: to be called with the lock, before the broker opens. Throws the
   * error of the system.
   */
  static announce(directory: string): AttachPoint {
    const before = find(directory)
    const point = new AttachPoint(directory)
    // What an owner left that did not end in good order.
    if (before !== undefined) removeSocket(directory, before)
    fs.writeFileSync(path.join(directory, POINTER), `${JSON.stringify({ socket: point.socket })}\n`, {
      mode: 0o600,
    })
    return point
  }

  private constructor(directory: string) {
    this.directory = directory
    const fits = Buffer.byteLength(path.join(directory, SOCKET)) <= LONGEST_PATH
    this.folder = fits ? directory : fs.mkdtempSync(path.join(tmpdir(), 'millrace-'))
  }

  private get socket(): string {
    return path.join(this.folder, SOCKET)
  }

  /** Serves from now on. Rejects with the error of the system. */
  async serve(served: Served): Promise<void> {
    const unfinished = path.join(this.folder, UNFINISHED)
    fs.rmSync(unfinished, { force: true })
    this.serving = await Serving.listen(served, { path: unfinished, readableAll: false, writableAll: false })
    fs.chmodSync(unfinished, 0o600)
    fs.renameSync(unfinished, this.socket)
  }

  /** Asks those who are attached to look for another owner, which they find when the lock is free. */
  async close(): Promise<void> {
    removeSocket(this.directory, this.socket)
    fs.rmSync(path.join(this.directory, POINTER), { force: true })
    await this.serving?.close()
  }
}

/** The socket of the directory's owner; undefined when none has announced one. */
export function find(directory: string): string | undefined {
  try {
    const { socket } = JSON.parse(fs.readFileSync(path.join(directory, POINTER), 'utf8')) as {
      socket?: unknown
    }
    return typeof socket === 'string' ? socket : undefined
  } catch {
    return undefined
  }
}

/** Removes a socket, and its folder when that was made for it. */
function removeSocket(directory: string, socket: string): void {
  if (path.basename(socket) !== SOCKET) return
  fs.rmSync(socket, { force: true })
  const folder = path.dirname(socket)
  if (folder === directory || !path.basename(folder).startsWith('millrace-')) return
  try {
    fs.rmdirSync(folder)
  } catch {
    // It holds something else, or is gone.
  }
}
