import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { connect } from '../../src/index.ts'
import { Broker } from '../support/broker.ts'
import { figure, query } from '../support/databases.ts'
import { Program } from '../support/program.ts'
import type { Report, Scenario, Stage } from '../support/scenario.ts'
import { bar } from '../support/view.ts'

const names = ['ada', 'ben', 'cleo', 'dan', 'eva', 'fay'] as const
type Name = (typeof names)[number]
const rooms: Readonly<Record<string, readonly Name[]>> = {
  garden: ['ada', 'ben', 'cleo', 'dan', 'eva', 'fay'],
  kitchen: ['ada', 'cleo', 'eva'],
  workshop: ['ben', 'dan', 'fay'],
}
/** Lines in each part of the evening. */
const LINES = 400

type Told = { readonly event: 'online' | 'heard' }

export const scenario: Scenario = {
  title: 'chat: private messages and rooms; who was away or was killed catches up',
  run: async (stage) => new Evening(stage, await startBroker(stage)).run(),
}

async function startBroker({ folder, defer }: Stage): Promise<Broker> {
  const broker = await Broker.start(join(folder, 'data'))
  defer(() => broker.stop())
  return broker
}

/** An evening in four parts, and what everybody has heard at its end. */
class Evening {
  private readonly stage: Stage
  private readonly broker: Broker
  private readonly people: Map<Name, Program<Told>> = new Map()
  private readonly heard: Map<Name, number> = new Map()
  private readonly lines: number
  private said = 0
  private kills = 0

  constructor(stage: Stage, broker: Broker) {
    this.stage = stage
    this.broker = broker
    this.lines = Math.max(30, Math.round(LINES * stage.scale))
  }

  async run(): Promise<Report> {
    const { view } = this.stage
    view.note('Six people come online: each is a process with a database of its own.')
    await Promise.all(names.map((name) => this.come(name)))
    await this.talk(names)

    view.note('Ben leaves in good order, Cleo is killed with SIGKILL. The others talk on, also to them.')
    await this.leave('ben')
    await this.kill('cleo')
    await this.talk(['ada', 'dan', 'eva', 'fay'])

    view.note('While everybody talks, the broker and Dan are killed with SIGKILL.')
    const talking = this.talk(['ada', 'dan', 'eva', 'fay'])
    await pause(100)
    await this.broker.kill()
    await this.kill('dan')
    await this.broker.start()
    await talking

    view.note('The broker is back, and so are Ben, Cleo and Dan. They hear what they have missed.')
    await Promise.all((['ben', 'cleo', 'dan'] as const).map((name) => this.come(name)))
    await this.talk(names)
    await this.caughtUp()
    await Promise.all([...this.people.keys()].map((name) => this.leave(name)))
    return this.report()
  }

  private async come(name: Name): Promise<void> {
    const { stage, broker } = this
    const member = Object.keys(rooms).filter((room) => rooms[room]!.includes(name))
    const program = new URL('./person.ts', import.meta.url)
    const person = new Program<Told>(program, [name, broker.url, this.file(name), ...member], ({ event }) => {
      if (event === 'heard') this.heard.set(name, (this.heard.get(name) ?? 0) + 1)
    })
    stage.defer(() => person.kill())
    await person.next('online')
    this.people.set(name, person)
  }

  private async leave(name: Name): Promise<void> {
    const person = this.people.get(name)!
    this.people.delete(name)
    person.tell({ order: 'leave' })
    await person.finished()
  }

  private async kill(name: Name): Promise<void> {
    this.kills++
    const person = this.people.get(name)!
    this.people.delete(name)
    await person.kill()
  }

  /** Every third line is for one person, the others are for a room of the speaker's. */
  private async talk(speakers: readonly Name[]): Promise<void> {
    for (let i = 0; i < this.lines; i++) {
      const speaker = speakers[i % speakers.length]!
      const person = this.people.get(speaker)
      if (!person) continue
      const mine = Object.keys(rooms).filter((room) => rooms[room]!.includes(speaker))
      const others = names.filter((name) => name !== speaker)
      const isPrivate = i % 3 === 0
      const target = isPrivate ? others[i % others.length]! : mine[i % mine.length]!
      person.tell({ order: 'say', kind: isPrivate ? 'person' : 'room', target, text: `line ${++this.said}` })
      if (i % 10 === 0) {
        this.show()
        await pause(4)
      }
    }
  }

  private show(): void {
    const most = Math.max(1, ...this.heard.values())
    this.stage.view.show(
      names.map((name) => {
        const count = this.heard.get(name) ?? 0
        const where = this.people.has(name) ? 'online ' : 'offline'
        return `${name.padEnd(5)} ${where} ${bar(count, most)} ${count} heard`
      }),
    )
  }

  /** Everything that was said is confirmed, and nothing waits at the broker. */
  private async caughtUp(): Promise<void> {
    const mq = await connect(this.broker.url)
    for (;;) {
      this.show()
      const open = names.reduce(
        (sum, name) => sum + figure(this.file(name), 'SELECT count(*) FROM said WHERE confirmed = 0'),
        0,
      )
      const waiting = (await mq.management.queues())
        .filter(({ name }) => !name.endsWith('.dlq'))
        .reduce((sum, { messages }) => sum + messages, 0)
      if (open === 0 && waiting === 0) break
      await pause(50)
    }
    await mq.close()
  }

  private file(name: Name): string {
    return join(this.stage.folder, `${name}.db`)
  }

  /** What each has said that a listener should have heard, against what is in the listener's database. */
  private report(): Report {
    const said = names.flatMap((speaker) =>
      query<{ number: number; kind: string; target: string }>(
        this.file(speaker),
        'SELECT number, kind, target FROM said',
      ).map((line) => ({ ...line, speaker })),
    )
    const figures = {
      said: said.length,
      heard: 0,
      lost: 0,
      shownTwice: 0,
      outOfOrder: 0,
      redelivered: 0,
      kills: this.kills + 1,
    }
    for (const name of names) {
      const heard = query<{ place: string; speaker: string; number: number; again: number }>(
        this.file(name),
        'SELECT place, speaker, number, again FROM heard ORDER BY rowid',
      )
      const meant = said.filter(({ kind, target, speaker }) =>
        kind === 'person' ? target === name : speaker !== name && rooms[target]!.includes(name),
      )
      const ids = heard.map(({ place, speaker, number }) => `${place} ${speaker} ${number}`)
      const have = new Set(ids)
      figures.heard += heard.length
      figures.lost += meant.filter(
        ({ kind, target, speaker, number }) =>
          !have.has(`${kind === 'person' ? name : target} ${speaker} ${number}`),
      ).length
      figures.shownTwice += ids.length - have.size
      figures.redelivered += heard.reduce((sum, { again }) => sum + again, 0)
      figures.outOfOrder += disorder(heard)
    }
    const ok = figures.lost === 0 && figures.shownTwice === 0 && figures.outOfOrder === 0
    return {
      ok,
      figures,
      summary: [
        `${figures.said} lines were said, and heard ${figures.heard} times: ${figures.lost} lost, ${figures.shownTwice} shown twice, ${figures.outOfOrder} out of order.`,
        `Cleo, Dan and the broker were killed; ${figures.redelivered} lines came again after that, and were recognized by their numbers.`,
      ],
    }
  }
}

/** Lines of one speaker in one place that came behind a later one. */
function disorder(heard: readonly { place: string; speaker: string; number: number }[]): number {
  const last = new Map<string, number>()
  let count = 0
  for (const { place, speaker, number } of heard) {
    const key = `${place} ${speaker}`
    if (number < (last.get(key) ?? 0)) count++
    last.set(key, number)
  }
  return count
}
