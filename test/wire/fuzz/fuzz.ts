import assert from 'node:assert/strict'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { frameOf } from '../raw.ts'
import { Application } from './application.ts'
import { Dice } from './dice.ts'
import { Stranger, type TheirLink, type TheirSession } from './stranger.ts'
import { oddities, type Violation, violations } from './violations.ts'

export interface Report {
  frames: number
  connections: number
  /** Violations said and answered as the specification wants it, by name. */
  readonly answered: Map<string, number>
  /** How connections ended, by who and condition. */
  readonly endings: Map<string, number>
  /** Bytes of memory at the end of the run beyond those at its beginning. */
  growth: number
}

setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')

/** Talks to the machine over `frames` frames, from that seed. Throws, naming the seed of the connection, at a fault. */
export function fuzz(seed: number, frames: number): Report {
  const report: Report = { frames: 0, connections: 0, answered: new Map(), endings: new Map(), growth: 0 }
  let before = 0
  while (report.frames < frames) {
    const own = (seed + report.connections) >>> 0
    try {
      new Conversation(own, report).run()
    } catch (cause) {
      throw new Error(`a connection went wrong; again with SEED=${own} FRAMES=1`, { cause })
    }
    report.connections++
    if (report.connections === 50) before = memory()
  }
  report.growth = memory() - before
  return report
}

function memory(): number {
  collect()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

/** Those that need more than a session; they are tried first, or they would be said seldom. */
const rare = violations.filter(({ scope }) => scope !== 'connection')

/** One connection: a stranger that keeps to the rules, breaks one, or babbles. */
class Conversation {
  private readonly dice: Dice
  private readonly report: Report
  private readonly app: Application
  private readonly stranger: Stranger
  private readonly kind: 'good' | 'violating' | 'babbling'
  private now = 0

  constructor(seed: number, report: Report) {
    this.dice = new Dice(seed)
    this.report = report
    const firstId = this.dice.pick([0, 1000, 0xffff_fffd])
    this.app = new Application(this.dice.once(4) ? 'client' : 'server', this.dice, firstId)
    this.stranger = new Stranger(this.dice, firstId)
    this.kind = this.dice.pick(['good', 'violating', 'violating', 'babbling'])
  }

  run(): void {
    const { app, dice } = this
    if (dice.once(2)) app.peer.open({ containerId: 'fuzzed' })
    app.peer.start()
    this.listen()
    for (let turns = 10 + dice.below(this.kind === 'violating' ? 40 : 150); turns > 0 && !app.over; turns--) {
      this.turn()
      if (this.kind === 'violating' && turns === 1) return this.violate()
    }
    if (!app.over && dice.once(2)) app.peer.close()
    this.listen()
    const { over } = app
    if (this.stranger.strict && over) assert.equal(over.error, undefined, 'nothing was wrong')
    count(this.report.endings, over ? `${over.by} ${over.error?.condition ?? ''}`.trim() : 'open')
  }

  private turn(): void {
    const { dice, stranger, app } = this
    stranger.crossing = dice.once(2)
    stranger.hasFlowed = false
    for (let acts = dice.below(8); acts >= 0 && !stranger.hasFlowed; acts--) stranger.act()
    if (stranger.crossing) app.act()
    if (this.kind === 'babbling' && dice.once(6)) this.babble()
    else this.deliver(stranger.take())
    if (!stranger.crossing) app.act()
    this.now += dice.below(20_000)
    if (dice.once(20)) app.peer.tick(this.now)
    this.listen()
  }

  private listen(): void {
    this.stranger.hear(this.app.takeOutput())
    // What the stranger answers by itself is heard before anything else is said.
    const answers = this.stranger.take()
    this.deliver(answers)
    if (answers.length > 0) return this.listen()
    if (this.stranger.strict && !this.app.over) this.compare()
  }

  /** Hands over frames as a socket would, cut anywhere. */
  private deliver(frames: readonly Buffer[]): void {
    const { dice, app } = this
    this.report.frames += frames.length
    const bytes = Buffer.concat(frames)
    const whole = dice.once(2)
    for (let at = 0; at < bytes.length && !app.over; ) {
      const size = whole ? bytes.length : 1 + dice.below(dice.once(2) ? 4 : 300)
      const chunk = Buffer.from(bytes.subarray(at, at + size))
      app.peer.receive(chunk)
      chunk.fill(0xaa)
      at += size
    }
  }

  /** Both ends think the same deliveries unsettled, on links that both think attached. */
  private compare(): void {
    for (const mine of this.app.sessions) {
      const theirs = [...this.stranger.sessions].find(
        ({ machineChannel }) => machineChannel === mine.session.channel,
      )
      if (mine.over || !theirs || theirs.endSent || mine.session.congested) continue
      for (const link of mine.links) {
        const their: TheirLink | undefined = [...theirs.links].find(({ name }) => name === link.link.name)
        if (!their?.attached || their.detached || link.link.state !== 'attached') continue
        const deliveries: ReadonlyMap<number, TheirLink> = their.sends ? theirs.sent : theirs.received
        const expected: number[] = [...deliveries].filter(([, owner]) => owner === their).map(([id]) => id)
        const sorted = (ids: Iterable<number>) =>
          [...ids].filter((id) => id !== link.unfinished).toSorted((a, b) => a - b)
        assert.deepEqual(sorted(link.unsettled), sorted(expected), `unsettled on ${their.name}`)
      }
    }
  }

  private violate(): void {
    const { dice, stranger, app } = this
    if (stranger.closeSent || !stranger.opened || app.over) return
    for (let tries = dice.below(20); tries < 60; tries++) {
      const session = dice.pick(
        [...stranger.sessions].filter((one) => !one.endSent && one.machineChannel >= 0),
      )
      const link = session && dice.pick([...session.links].filter((one) => one.attached && !one.detached))
      if (!link) return
      const violation = dice.pick(tries < 10 ? rare : violations)
      if (!violation.say(stranger, session, link)) {
        stranger.take()
        continue
      }
      stranger.counting = false
      this.deliver(stranger.take())
      this.judge(violation, session)
      return
    }
  }

  private judge({ name, scope, condition }: Violation, session: TheirSession): void {
    const { app, stranger } = this
    stranger.hear(app.takeOutput())
    if (scope === 'connection') {
      assert.deepEqual([app.over?.by, app.over?.error?.condition], ['violation', condition], name)
      assert.equal(stranger.closed?.condition, condition, name)
    } else {
      assert.equal(app.over, undefined, name)
      assert(
        stranger.refusals.includes(condition),
        `${name}: ${condition} and not ${stranger.refusals.join(', ')}`,
      )
      assert.equal(session.ended, scope === 'session', name)
    }
    count(this.report.answered, name)
    count(this.report.endings, `${scope} ${condition}`)
  }

  /** Something that no rule foresees, instead of what was to be said. */
  private babble(): void {
    const { dice, stranger, app } = this
    stranger.strict = false
    app.comparing = false
    this.deliver(stranger.take().map((frame) => this.mutate(frame)))
    for (let i = dice.below(3); i > 0; i--)
      this.deliver([this.mutate(frameOf(dice.pick(oddities), dice.below(3)))])
  }

  private mutate(frame: Buffer): Buffer {
    const { dice } = this
    const bytes = Buffer.from(frame)
    const at = dice.below(bytes.length)
    switch (dice.below(10)) {
      case 0:
        bytes[at]! ^= 1 << dice.below(8)
        return bytes
      case 1:
        bytes[at] = dice.below(256)
        return bytes
      case 2:
        return Buffer.concat([bytes, bytes])
      case 3:
        return resized(Buffer.concat([bytes.subarray(0, at), dice.bytes(dice.below(30)), bytes.subarray(at)]))
      case 4:
        return resized(bytes.subarray(0, at))
      case 5:
        return resized(Buffer.concat([bytes.subarray(0, 8), dice.bytes(dice.below(200))]))
      case 6:
        return resized(Buffer.concat([bytes.subarray(0, 11), this.composite(dice.below(60))]))
      case 7:
        return dice.bytes(dice.below(40))
      default:
        return bytes
    }
  }

  /** Nested lists, maps, arrays and described values whose sizes are true, nearly true or vast. */
  private composite(depth: number): Buffer {
    const { dice } = this
    if (depth === 0)
      return dice.pick([
        Buffer.from([0x40]),
        Buffer.from([0xa1, 2, 0xc3, 0x28]),
        Buffer.from([0x70, 255, 255, 255, 255]),
      ])
    const inner = this.composite(depth - 1)
    const wide = (code: number, size: number, elements: number) => {
      const head = Buffer.alloc(9)
      head[0] = code
      head.writeUInt32BE(size, 1)
      head.writeUInt32BE(elements, 5)
      return head
    }
    const size = dice.once(20) ? 0xffff_fffd : inner.length + 4 + (dice.once(20) ? 1 : 0)
    switch (dice.below(4)) {
      case 0:
        return Buffer.concat([wide(0xd0, size, 1), inner])
      case 1:
        return Buffer.concat([wide(0xd1, size + 1, 2), Buffer.from([0x40]), inner])
      case 2:
        return Buffer.concat([Buffer.from([0x00, 0x53, dice.below(256)]), inner])
      default:
        return Buffer.concat([wide(0xf0, size, dice.once(3) ? 0xffff_ffff : 1), inner])
    }
  }
}

/** With the size in front put right, so that it gets as far as the decoder. */
function resized(bytes: Buffer): Buffer {
  if (bytes.length < 8) return bytes
  bytes.writeUInt32BE(bytes.length, 0)
  return bytes
}
