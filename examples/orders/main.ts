import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { connect } from '../../src/index.ts'
import { Broker } from '../support/broker.ts'
import { figure, query } from '../support/databases.ts'
import { Program } from '../support/program.ts'
import type { Report, Scenario, Stage } from '../support/scenario.ts'
import { bar, table } from '../support/view.ts'
import { items, type Order, orders, post, STOCK, type Way, ways } from './words.ts'

/** Orders placed each way, and how many at once. */
const ORDERS = 600
const AT_ONCE = 12
/** How long the inventory and the broker stay away. Milliseconds. */
const OUTAGE = 600

type Ready = { readonly event: 'ready'; readonly port: number }

export const scenario: Scenario = {
  title:
    'orders: the shop tells the inventory by a call, in the background, through the broker; everything crashes',
  run: async (stage) => {
    const broker = await Broker.start(join(stage.folder, 'data'))
    stage.defer(() => broker.stop())
    return new Trade(stage, broker).run()
  },
}

/** A process that is killed and started again at the same port. */
class Service {
  port = 0
  private readonly stage: Stage
  private readonly program: URL
  private readonly args: () => readonly string[]
  private running: Program<Ready> | undefined

  constructor(stage: Stage, program: URL, args: () => readonly string[]) {
    this.stage = stage
    this.program = program
    this.args = args
  }

  async start(): Promise<void> {
    const running = new Program<Ready>(this.program, [...this.args(), String(this.port)])
    this.stage.defer(() => running.kill())
    this.running = running
    this.port = (await running.next('ready')).port
  }

  kill(): Promise<void> {
    return this.running!.kill()
  }
}

/** What became of the orders of one way. */
interface Compared {
  readonly orders: number
  readonly lost: number
  readonly doubled: number
  /** Taken out of the stock and not ordered, or with a minus the other way round. */
  readonly piecesOff: number
}

class Trade {
  private readonly stage: Stage
  private readonly broker: Broker
  private readonly count: number
  private readonly shopFile: string
  private readonly stockFile: string
  private readonly shop: Service
  private readonly inventory: Service
  private readonly placed: Record<Way, number> = { direct: 0, background: 0, queued: 0 }
  private copies = 0
  private kills = 0

  constructor(stage: Stage, broker: Broker) {
    this.stage = stage
    this.broker = broker
    this.count = Math.max(60, Math.round(ORDERS * stage.scale))
    this.shopFile = join(stage.folder, 'shop.db')
    this.stockFile = join(stage.folder, 'inventory.db')
    const { url } = broker
    this.inventory = new Service(stage, new URL('./inventory.ts', import.meta.url), () => [
      url,
      this.stockFile,
    ])
    this.shop = new Service(stage, new URL('./shop.ts', import.meta.url), () => [
      url,
      this.shopFile,
      String(this.inventory.port),
    ])
  }

  async run(): Promise<Report> {
    const { view } = this.stage
    await this.inventory.start()
    await this.shop.start()
    for (const way of ways) {
      view.note(
        `${this.count} orders, ${way}. Meanwhile the inventory, the shop and the broker are killed with SIGKILL.`,
      )
      await Promise.all([this.place(way), this.crash(way)])
      await post(this.shop.port, '/idle', {}).catch(() => {})
    }
    await this.settled()
    return this.report()
  }

  /** Who orders asks again until the shop has answered, under the same id; but not when it says that it failed. */
  private async place(way: Way): Promise<void> {
    let next = 0
    const customer = async (): Promise<void> => {
      while (next < this.count) {
        const number = next++
        const order: Order = {
          id: `${way}-${number}`,
          way,
          item: items[number % items.length]!,
          pieces: 1 + (number % 3),
        }
        await this.insist(order)
        this.placed[way]++
        this.show()
        await pause(10)
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, customer))
  }

  private async insist(order: Order): Promise<void> {
    for (;;) {
      try {
        return await post(this.shop.port, '/order', order)
      } catch (error) {
        if (/answered with 500/.test(String(error))) return
        await pause(50)
      }
    }
  }

  /** The same for each way: at a quarter, at half and at three quarters of the orders. */
  private async crash(way: Way): Promise<void> {
    await this.reached(way, 0.25)
    await this.inventory.kill()
    if (way === 'queued') await this.double()
    await pause(OUTAGE)
    await this.inventory.start()
    await this.reached(way, 0.5)
    await this.shop.kill()
    await this.shop.start()
    await this.reached(way, 0.75)
    await this.broker.kill()
    await pause(OUTAGE)
    await this.broker.start()
    this.kills += 3
  }

  private async reached(way: Way, share: number): Promise<void> {
    while (this.placed[way] < this.count * share) await pause(5)
  }

  /** What waits for the inventory is sent again, as a sender does that did not hear of its confirms. */
  private async double(): Promise<void> {
    const mq = await connect(this.broker.url)
    while (this.copies === 0) {
      for await (const message of mq.browse(orders)) {
        await mq.send(orders, message.body, { messageId: message.messageId })
        if (++this.copies === 20) break
      }
    }
    await mq.close()
  }

  /** Nothing waits in the outbox or at the broker. */
  private async settled(): Promise<void> {
    const mq = await connect(this.broker.url)
    for (;;) {
      const queues = await mq.management.queues()
      // Dead letters would be lost orders: they wait for nobody.
      const waiting = queues.find(({ name }) => name === orders.name)?.messages ?? 0
      const unsent = figure(this.shopFile, 'SELECT count(*) FROM millrace_outbox')
      this.stage.view.show([...this.lines(), `${unsent} in the outbox, ${waiting} at the broker`])
      if (waiting === 0 && unsent === 0) break
      await pause(50)
    }
    await mq.close()
  }

  private lines(): string[] {
    return ways.map(
      (way) => `${way.padEnd(10)} ${bar(this.placed[way], this.count)} ${this.placed[way]} orders`,
    )
  }

  private show(): void {
    this.stage.view.show(this.lines())
  }

  /** What the shop has against what the inventory did, to the piece. */
  private compare(way: Way): Compared {
    const placed = query<{ id: string; pieces: number }>(
      this.shopFile,
      'SELECT id, pieces FROM orders WHERE way = ?',
      way,
    )
    const moved = query<{ id: string; times: number }>(
      this.stockFile,
      'SELECT order_id AS id, count(*) AS times FROM movements WHERE way = ? GROUP BY order_id',
      way,
    )
    const times = new Map(moved.map((each) => [each.id, each.times]))
    const left = figure(this.stockFile, 'SELECT sum(pieces) FROM stock WHERE way = ?', way)
    const ordered = placed.reduce((sum, { pieces }) => sum + pieces, 0)
    return {
      orders: placed.length,
      lost: placed.filter(({ id }) => !times.has(id)).length,
      doubled: moved.filter((each) => each.times > 1).length,
      piecesOff: items.length * STOCK - left - ordered,
    }
  }

  private report(): Report {
    const [direct, background, queued] = ways.map((way) => this.compare(way)) as [
      Compared,
      Compared,
      Compared,
    ]
    const ok =
      queued.orders === this.count && queued.lost === 0 && queued.doubled === 0 && queued.piecesOff === 0
    const rows = (
      [
        ['direct', direct],
        ['background', background],
        ['queued', queued],
      ] as const
    ).map(([way, { orders, lost, doubled, piecesOff }]) => [way, orders, lost, doubled, piecesOff])
    return {
      ok,
      figures: { direct, background, queued, copies: this.copies, kills: this.kills },
      summary: [
        ...table([['way', 'orders', 'lost', 'doubled', 'pieces off'], ...rows]),
        '',
        `${this.copies} messages were sent twice on purpose; ${this.kills} processes were killed.`,
      ],
    }
  }
}
