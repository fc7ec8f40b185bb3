import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { setTimeout } from 'node:timers/promises'
import { type Context, queue } from '../../src/index.ts'
import { type Setting, Steady } from '../loads.ts'
import { type Probed, probe } from '../probe.ts'

const small: Setting = { durability: 'disk', size: 100 }
const jobs = queue<Uint8Array>('jobs')
/** Of what lies in the journal. */
const BODY = 16 * 1024
const IN_FLIGHT = 128
/** Of twenty messages of the filling so many stay, expire, and are purged: files are worth rewriting then. */
const TWENTY = { stay: 7, expire: 7, purge: 6 }
/** Nothing has been done to the files for so long: nothing is left to do. Milliseconds. */
const CALM = 5_000
const SLACK = 3_000

export interface UpkeepOrder {
  /** Of the filling. */
  readonly bytes: number
  /** Messages a second whose times are measured. */
  readonly rate: number
  /** Of the quiet part. */
  readonly seconds: number
}

/** What the journal did to its files. */
class JournalEvents implements Disposable {
  checkpoints = 0
  compactedBytes = 0
  /** Between the begin of the first and the end of the last. */
  first: number = Number.POSITIVE_INFINITY
  last = 0
  private readonly listener = (message: unknown): void => {
    const facts = message as { event: string; bytesRead: number; milliseconds: number }
    if (facts.event === 'recovering') return
    if (facts.event === 'checkpoint') this.checkpoints++
    else this.compactedBytes += facts.bytesRead
    this.last = performance.now()
    this.first = Math.min(this.first, this.last - facts.milliseconds)
  }

  constructor() {
    subscribe('millrace:journal', this.listener)
  }

  [Symbol.dispose](): void {
    unsubscribe('millrace:journal', this.listener)
  }
}

export interface UpkeepSeen {
  readonly quiet: Float64Array
  readonly busy: Float64Array
  readonly quietProbed: Probed
  readonly busyProbed: Probed
  readonly compactedBytes: number
  readonly checkpoints: number
  readonly expired: number
  readonly purged: number
  readonly busySeconds: number
}

/**
 * The same load in quiet, and while messages expire and are purged by the thousand, checkpoints are written, and the files in
 * which they lay between others that stay are compacted. For a broker in this process.
 */
export async function upkeep(mq: Context, { bytes, rate, seconds }: UpkeepOrder): Promise<UpkeepSeen> {
  const expiry = await fill(mq, Math.ceil(bytes / BODY), seconds * 1000 + SLACK)
  const steady = await Steady.start({ mq, jobs }, small, rate)
  await setTimeout(1_000)
  probe()
  const quietFrom = performance.now()
  await setTimeout(seconds * 1000)
  const quietTo = performance.now()
  const quietProbed = probe()
  using events = new JournalEvents()
  const expiring = await depth(mq, 'expire')
  await setTimeout(Math.max(0, expiry - Date.now()))
  const purged = await mq.management.purge('purge')
  const begun = performance.now()
  while ((await depth(mq, 'expire')) > 0 || performance.now() - Math.max(begun, events.last) < CALM) {
    await setTimeout(200)
  }
  await steady.stop()
  if (events.compactedBytes === 0) throw new Error('nothing was compacted: --gib is too small')
  // Before the times are put in order, which takes longer than anything that was measured.
  const busyProbed = probe()
  const { first, last, checkpoints, compactedBytes } = events
  return {
    quiet: steady.between(quietFrom, quietTo),
    busy: steady.between(first, last),
    quietProbed,
    busyProbed,
    compactedBytes,
    checkpoints,
    expired: expiring - (await depth(mq, 'expire')),
    purged,
    busySeconds: (last - first) / 1000,
  }
}

/** Answers when what expires does. How fast the disk is, the first tenth says, of which none expires; it may be three times slower. */
async function fill(mq: Context, count: number, quiet: number): Promise<number> {
  const [stay, expire, purge] = (['stay', 'expire', 'purge'] as const).map((name) => queue<Uint8Array>(name))
  const body = new Uint8Array(BODY).fill(7)
  const begun = Date.now()
  let expiry: number | undefined
  let sent = 0
  const send = async (): Promise<void> => {
    while (sent < count) {
      const index = sent++
      if (index > count / 10) expiry ??= Date.now() + (Date.now() - begun) * 9 * 3 + quiet
      const kind = index % 20
      if (kind < TWENTY.stay) await mq.send(stay!, body)
      else if (kind >= TWENTY.stay + TWENTY.expire || expiry === undefined) await mq.send(purge!, body)
      else await mq.send(expire!, body, { ttl: Math.max(1, expiry - Date.now()) })
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, send))
  if (Date.now() + quiet > expiry!) throw new Error('the disk became slower while it was filled; try again')
  await setTimeout(Math.max(0, expiry! - quiet - Date.now()))
  return expiry!
}

async function depth(mq: Context, name: string): Promise<number> {
  return (await mq.management.queues()).find((one) => one.name === name)?.messages ?? 0
}
