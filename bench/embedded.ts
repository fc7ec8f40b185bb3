import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { connect, queue } from '../src/index.ts'
import { latency, type Setting, type Style, type Subject, throughput, warmUp } from './loads.ts'
import type { Row, Scale } from './rows.ts'

/** Through a queue of the embedded broker, with acknowledgement of every message. */
export function embeddedRows(scale: Scale): Row[] {
  const { seconds } = scale
  const rows: Row[] = []
  for (const durability of ['disk', 'memory'] as const) {
    for (const size of [100, 1024]) {
      for (const style of ['one by one', 'in batches'] as const) {
        rows.push({
          name: `embedded: ${durability}, ${size} B, ${style}`,
          unit: 'msg/s',
          measure: () =>
            withBroker(scale, (subject) => warmRate(subject, seconds, { durability, size }, style)),
        })
      }
    }
  }
  for (const durability of ['disk', 'memory'] as const) {
    for (const rate of [1_000, 10_000]) {
      rows.push({
        name: `embedded: ${durability}, 100 B, end to end at ${rate / 1000} k/s`,
        unit: 'ms',
        measure: () =>
          withBroker(scale, (subject) => latency(subject, seconds, { durability, size: 100 }, rate)),
      })
    }
  }
  return rows
}

async function warmRate(
  subject: Subject,
  seconds: number,
  setting: Setting,
  style: Style,
): Promise<Record<string, number>> {
  await warmUp(subject.mq, setting, style)
  const { rate } = await throughput(subject, seconds, setting, style)
  return { '': rate }
}

async function withBroker<T>(scale: Scale, use: (subject: Subject) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(scale.directory, 'data-'))
  try {
    await using mq = await connect(`file:${directory}`)
    return await use({ mq, jobs: queue<Uint8Array>('jobs') })
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
