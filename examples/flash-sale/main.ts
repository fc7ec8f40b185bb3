import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { connect } from '../../src/index.ts'
import { Broker } from '../support/broker.ts'
import { figure, query } from '../support/databases.ts'
import { Program } from '../support/program.ts'
import { quantile } from '../support/quantile.ts'
import type { Report, Scenario, Stage } from '../support/scenario.ts'
import { bar, table } from '../support/view.ts'
import { type Course, draw } from './picture.ts'
import { type DoorTold, type Outcome, orders } from './words.ts'

const PIECES = 1_000
/** So many come for each piece. */
const BUYERS_PER_PIECE = 100
const DOORS = 4
/** How long buyers keep coming. Milliseconds. */
const RUSH = 3_000
/** Orders that are worked off in a second, by so many tills together. */
const RATE = 100
const TILLS = 2
/** How long the broker and a till stay away. Milliseconds. */
const OUTAGE = 500
/** How often one looks how deep the queue is. Milliseconds. */
const LOOK = 100

export const scenario: Scenario = {
  title: 'flash-sale: a hundred buyers for each piece; who cannot have one is refused at the door',
  run: async (stage) => {
    const broker = await Broker.start(join(stage.folder, 'data'))
    stage.defer(() => broker.stop())
    return new Sale(stage, broker).run()
  },
}

interface Buyer {
  readonly buyer: number
  readonly outcome: Outcome
  readonly number: number | null
  readonly came: number
  readonly told: number
  readonly done: number
}

class Sale {
  private readonly stage: Stage
  private readonly broker: Broker
  private readonly pieces: number
  private readonly buyers: number
  private readonly sales: string
  private readonly tills: Program<{ readonly event: 'ready' }>[] = []
  private readonly doors: Program<DoorTold>[] = []
  private readonly come: number[] = Array(DOORS).fill(0)
  private readonly told: number[] = Array(DOORS).fill(0)
  private readonly course: { -readonly [K in keyof Course]: Course[K] } = {
    begun: 0,
    depths: [],
    told: [],
    sold: [],
    kills: [],
  }
  private depth = 0
  private over = false

  constructor(stage: Stage, broker: Broker) {
    this.stage = stage
    this.broker = broker
    this.pieces = Math.max(20, Math.round(PIECES * stage.scale))
    this.buyers = this.pieces * BUYERS_PER_PIECE
    this.sales = join(stage.folder, 'sales.db')
  }

  async run(): Promise<Report> {
    const { view } = this.stage
    for (let till = 0; till < TILLS; till++) await this.openTill(till)
    await Promise.all(this.come.map((_, door) => this.buildDoor(door)))
    view.note(
      `${this.buyers} buyers come to ${DOORS} doors within ${RUSH / 1000} s, for ${this.pieces} pieces. Meanwhile the broker is killed with SIGKILL; later a till, and the broker again.`,
    )
    this.course.begun = Date.now()
    const looking = this.look()
    const done = this.doors.map((door) => door.next('done'))
    for (const door of this.doors) door.tell('open')
    await Promise.all([...done, this.crash()])
    this.over = true
    await looking
    return this.report()
  }

  private async openTill(till: number): Promise<void> {
    const program = new URL('./till.ts', import.meta.url)
    const running = new Program<{ readonly event: 'ready' }>(program, [
      this.broker.url,
      this.sales,
      String(RATE / TILLS),
    ])
    this.stage.defer(() => running.kill())
    this.tills[till] = running
    await running.next('ready')
  }

  private async buildDoor(door: number): Promise<void> {
    const share = this.buyers / DOORS
    const args = [this.broker.url, this.file(door), `door-${door}`]
    const figures = [door * share, share, this.pieces, RUSH].map(String)
    const program = new URL('./door.ts', import.meta.url)
    const running = new Program<DoorTold>(program, [...args, ...figures], (told) => {
      if (told.event !== 'progress') return
      this.come[door] = told.come
      this.told[door] = told.told
    })
    this.stage.defer(() => running.kill())
    this.doors[door] = running
    await running.next('ready')
  }

  private file(door: number): string {
    return join(this.stage.folder, `door-${door}.db`)
  }

  /** In the midst of the rush the broker; while the orders are worked off a till, and the broker again. */
  private async crash(): Promise<void> {
    await this.until(() => sum(this.come) >= 0.4 * this.buyers)
    await this.killBroker()
    await this.until(() => this.sold() >= 0.3 * this.pieces)
    this.killed('a till')
    await this.tills[0]!.kill()
    await pause(OUTAGE)
    await this.openTill(0)
    await this.until(() => this.sold() >= 0.6 * this.pieces)
    await this.killBroker()
  }

  private async killBroker(): Promise<void> {
    this.killed('the broker')
    await this.broker.kill()
    await pause(OUTAGE)
    await this.broker.start()
  }

  private killed(what: string): void {
    this.course.kills.push({ at: Date.now(), what })
  }

  private async until(reached: () => boolean): Promise<void> {
    while (!reached()) await pause(20)
  }

  private sold(): number {
    return figure(this.sales, 'SELECT count(*) FROM sold')
  }

  /** How many orders wait or are being worked on, again and again; nobody answers while the broker is away. */
  private async look(): Promise<void> {
    const mq = await connect(this.broker.url, { reconnect: { initial: 20, max: 200 } })
    while (!this.over) {
      const queues = await mq.management.queues().catch(() => undefined)
      if (queues) {
        this.depth = queues.find(({ name }) => name === orders.name)?.messages ?? 0
        this.course.depths.push({ at: Date.now(), value: this.depth })
      }
      this.show()
      await pause(LOOK)
    }
    await mq.close()
  }

  private show(): void {
    const [come, told, sold] = [sum(this.come), sum(this.told), this.sold()]
    this.stage.view.show([
      `buyers  ${bar(come, this.buyers)} ${come} have come, ${told} have been let in or refused`,
      `orders  ${bar(this.depth, this.pieces)} ${this.depth} in the queue`,
      `sold    ${bar(sold, this.pieces)} ${sold}`,
    ])
  }

  private report(): Report {
    const answers = this.doors.flatMap((_, door) => query<Buyer>(this.file(door), 'SELECT * FROM buyers'))
    const sold = query<{ number: number; buyer: number; at: number }>(this.sales, 'SELECT * FROM sold')
    const of = (outcome: Outcome): Buyer[] => answers.filter((each) => each.outcome === outcome)
    const sales = new Set(sold.map(({ buyer, number }) => `${buyer} ${number}`))
    const told = new Set(of('sold').map(({ buyer, number }) => `${buyer} ${number}`))
    const figures = {
      buyers: this.buyers,
      pieces: this.pieces,
      sold: sold.length,
      soldTwice: sold.length - new Set(sold.map(({ buyer }) => buyer)).size,
      refused: of('refused').length,
      left: of('left').length,
      unanswered: this.buyers - answers.length,
      /** Sales that the buyer was not told of, and the other way round. */
      differing: missing(told, sales) + missing(sales, told),
      kills: this.course.kills.length,
      deepest: Math.max(...this.course.depths.map(({ value }) => value)),
      perSecond: { allowed: RATE, fastest: fastest(sold.map(({ at }) => at)) },
      milliseconds: {
        door: spread(answers.map((each) => each.told - each.came)),
        order: spread(of('sold').map((each) => each.done - each.told)),
      },
    }
    this.course.told = answers.map((each) => ({ at: each.told, value: each.told - each.came }))
    this.course.sold = of('sold').map((each) => ({ at: each.done, value: each.done - each.told }))
    writeFileSync(this.stage.picture, draw(this.course))
    const { soldTwice, refused, left, unanswered, differing } = figures
    const ok =
      figures.sold === this.pieces &&
      soldTwice + unanswered + differing === 0 &&
      figures.sold + refused + left === this.buyers
    return { ok, figures, summary: this.summary(figures) }
  }

  private summary(figures: {
    readonly sold: number
    readonly soldTwice: number
    readonly refused: number
    readonly left: number
    readonly unanswered: number
    readonly kills: number
    readonly deepest: number
    readonly milliseconds: Readonly<Record<'door' | 'order', { readonly p50: number; readonly p99: number }>>
  }): string[] {
    const { door, order } = figures.milliseconds
    return [
      ...table([
        ['buyers', this.buyers],
        ['sold', figures.sold],
        ['sold twice', figures.soldTwice],
        ['refused at the door', figures.refused],
        ['let in, and left', figures.left],
        ['without an answer', figures.unanswered],
      ]),
      '',
      `Half of all were let in or refused within ${door.p50} ms, 99 of 100 within ${door.p99} ms; half of the orders were answered within ${order.p50} ms, 99 of 100 within ${order.p99} ms.`,
      `At most ${figures.deepest} orders were in the queue; ${figures.kills} processes were killed.`,
      `The course of it is drawn in ${this.stage.picture}`,
    ]
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

function spread(values: readonly number[]): { p50: number; p99: number } {
  return { p50: quantile(values, 0.5), p99: quantile(values, 0.99) }
}

/** How many of the one are not in the other. */
function missing(one: ReadonlySet<string>, other: ReadonlySet<string>): number {
  return [...one].filter((each) => !other.has(each)).length
}

/** The most of these moments that lie within one second. */
function fastest(moments: readonly number[]): number {
  const sorted = moments.toSorted((a, b) => a - b)
  let from = 0
  let most = 0
  sorted.forEach((at, i) => {
    while (sorted[from]! <= at - 1_000) from++
    most = Math.max(most, i - from + 1)
  })
  return most
}
