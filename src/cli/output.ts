import type { Writable } from 'node:stream'

/** The reader of the output has gone: what was not written stays where it was, and nobody is to blame. */
export class ReaderGone extends Error {
  override readonly name: string = 'ReaderGone'
}

/** Standard output, written so that the caller knows when something has been taken. */
export class Output {
  readonly json: boolean
  private readonly stream: Writable
  private gone = false

  constructor(stream: Writable, json: boolean) {
    this.stream = stream
    this.json = json
    // Every write reports its own failure; without a listener the stream would end the process.
    stream.on('error', () => {
      this.gone = true
    })
  }

  /** Resolves when the operating system has taken the bytes. Rejects with ReaderGone, or what writing failed with. */
  write(data: string | Uint8Array): Promise<void> {
    if (this.gone) return Promise.reject(new ReaderGone())
    return new Promise((resolve, reject) => {
      this.stream.write(data, (error) => {
        if (!error) resolve()
        else reject((error as NodeJS.ErrnoException).code === 'EPIPE' ? new ReaderGone() : error)
      })
    })
  }

  line(text: string): Promise<void> {
    return this.write(`${text}\n`)
  }

  /** One JSON document on a line of its own. */
  document(value: unknown): Promise<void> {
    return this.line(JSON.stringify(value, toJson))
  }
}

/** JSON has no bytes, no large integers and no maps. */
function toJson(this: unknown, key: string, value: unknown): unknown {
  const original = (this as Record<string, unknown>)[key]
  if (original instanceof Uint8Array) return Buffer.from(original).toString('base64')
  if (typeof value === 'bigint') {
    return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER
      ? Number(value)
      : String(value)
  }
  return value instanceof Map ? Object.fromEntries(value) : value
}

/** Columns as wide as their widest cell; numbers are aligned to the right. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const texts = [head, ...rows].map((row) => row.map(String))
  const widths = head.map((_, column) => Math.max(...texts.map((row) => row[column]!.length)))
  const right = head.map((_, column) => rows.every((row) => typeof row[column] === 'number'))
  return texts
    .map((row) =>
      row
        .map((cell, column) => pad(cell, widths[column]!, right[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

function pad(cell: string, width: number, right: boolean): string {
  return right ? cell.padStart(width) : cell.padEnd(width)
}

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

export function byteSize(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}

export function plural(count: number, one: string, many: string = `${one}s`): string {
  return `${count.toLocaleString('en')} ${count === 1 ? one : many}`
}

/** Nothing in what others sent may move the cursor or begin a line. */
export function oneLine(body: string | Uint8Array): string {
  if (typeof body !== 'string') {
    const start = Buffer.from(body.subarray(0, 32)).toString('hex')
    return `${plural(body.length, 'byte')}: ${start}${body.length > 32 ? '…' : ''}`
  }
  return body.replace(/[\p{Cc}\u2028\u2029]/gu, escapeControl)
}

function escapeControl(character: string): string {
  const short = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }[character]
  return short ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}
