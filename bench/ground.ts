import { closeSync, fdatasync, openSync, rmSync, writev } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Row, Scale } from './rows.ts'
import { quantile } from './statistics.ts'

const append = promisify(writev)
const sync = promisify(fdatasync)

/** What a journal record adds to a body, about: as much is written here for each message. */
const OVERHEAD = 60

/** The ground everything stands on, measured in the same run: a loop that copies, and an append with fdatasync. */
export function groundRows(scale: Scale): Row[] {
  return [100, 1024].flatMap((size) => [
    { name: `ground: copy ${size} B in a loop`, unit: 'msg/s', measure: () => copyLoop(scale, size) },
    {
      name: `ground: append + fdatasync, ${size} B, 1000 at once`,
      unit: 'msg/s',
      measure: () => appendLoop(scale, size),
    },
    ...(size === 100
      ? [
          {
            name: 'ground: append + fdatasync, one at a time',
            unit: 'ms',
            measure: () => syncTimes(scale),
          } as const,
        ]
      : []),
  ])
}

async function copyLoop(scale: Scale, size: number): Promise<Record<string, number>> {
  const body = Buffer.alloc(size, 1)
  const target = Buffer.alloc((size + OVERHEAD) * 1000)
  const until = performance.now() + scale.seconds * 500
  const begun = performance.now()
  let count = 0
  while (performance.now() < until) {
    for (let i = 0; i < 1000; i++) target.set(body, i * (size + OVERHEAD) + OVERHEAD)
    count += 1000
  }
  return { '': (count / (performance.now() - begun)) * 1000 }
}

async function appendLoop(scale: Scale, size: number): Promise<Record<string, number>> {
  return { '': (await appends(scale, (size + OVERHEAD) * 1000)) * 1000 }
}

/** Pieces of so many bytes that are appended and synced in a second, one after the other. */
export async function appends(scale: Scale, bytes: number): Promise<number> {
  const piece = Buffer.alloc(bytes, 1)
  return withFile(scale, async (file) => {
    const begun = performance.now()
    const until = begun + scale.seconds * 500
    let count = 0
    for (let position = 0; performance.now() < until; position += piece.length) {
      await append(file, [piece], position)
      await sync(file)
      count++
    }
    return (count / (performance.now() - begun)) * 1000
  })
}

async function syncTimes(scale: Scale): Promise<Record<string, number>> {
  const piece = Buffer.alloc(100 + OVERHEAD, 1)
  return withFile(scale, async (file) => {
    const times: number[] = []
    const until = performance.now() + scale.seconds * 500
    for (let position = 0; performance.now() < until; position += piece.length) {
      const begun = performance.now()
      await append(file, [piece], position)
      await sync(file)
      times.push(performance.now() - begun)
    }
    times.sort((a, b) => a - b)
    return { p50: quantile(times, 0.5), p99: quantile(times, 0.99), 'p99.9': quantile(times, 0.999) }
  })
}

async function withFile<T>(scale: Scale, use: (file: number) => Promise<T>): Promise<T> {
  const path = join(scale.directory, 'ground')
  const file = openSync(path, 'w')
  try {
    return await use(file)
  } finally {
    closeSync(file)
    rmSync(path)
  }
}
