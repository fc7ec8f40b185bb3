import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Broker } from '../support/broker.ts'
import { figure } from '../support/databases.ts'
import { Program } from '../support/program.ts'
import { quantile } from '../support/quantile.ts'
import type { Report, Scenario, Stage } from '../support/scenario.ts'
import { bar, table } from '../support/view.ts'
import type { Way } from './words.ts'

/** Users that sign up each way, and how many at once. */
const USERS = 400
const AT_ONCE = 8
/** How long the broker stays away. Milliseconds. */
const OUTAGE = 500

const ways: readonly Way[] = ['serial', 'parallel', 'queued']

type Ready = { readonly event: 'ready'; readonly port: number }
type Told = Ready | { readonly event: 'delivered' }

export const scenario: Scenario = {
  title: 'registration: mail and text message after a sign-up, one after the other, at once, and queued',
  run: async (stage) => {
    const broker = await Broker.start(join(stage.folder, 'data'))
    stage.defer(() => broker.stop())
    return new Registration(stage, broker).run()
  },
}

class Registration {
  private readonly stage: Stage
  private readonly broker: Broker
  private readonly users: number
  private readonly times: Record<Way, number[]> = { serial: [], parallel: [], queued: [] }
  private readonly app: string
  private readonly post: string
  private postOffice = 0
  private service = 0
  private courier: Program<Told> | undefined

  constructor(stage: Stage, broker: Broker) {
    this.stage = stage
    this.broker = broker
    this.users = Math.max(20, Math.round(USERS * stage.scale))
    this.app = join(stage.folder, 'app.db')
    this.post = join(stage.folder, 'post.db')
  }

  async run(): Promise<Report> {
    const { view } = this.stage
    view.note('The post office takes 40 to 80 ms for a mail or a text message.')
    this.postOffice = await this.start(new URL('./post-office.ts', import.meta.url), this.post)
    const { url } = this.broker
    this.service = await this.start(
      new URL('./service.ts', import.meta.url),
      url,
      this.app,
      String(this.postOffice),
    )
    await this.startCourier()

    view.note(`${this.users} users sign up each way, ${AT_ONCE} at a time.`)
    await this.signUp('serial')
    await this.signUp('parallel')
    view.note(
      `While they sign up queued, the broker is killed with SIGKILL and away for ${OUTAGE} ms, then the courier.`,
    )
    await Promise.all([this.signUp('queued'), this.crash()])
    await this.delivered()
    return this.report()
  }

  private async start(program: URL, ...args: string[]): Promise<number> {
    const started = new Program<Ready>(program, args)
    this.stage.defer(() => started.kill())
    return (await started.next('ready')).port
  }

  private async startCourier(): Promise<void> {
    const program = new URL('./courier.ts', import.meta.url)
    const courier = new Program<Told>(program, [this.broker.url, String(this.postOffice)])
    this.stage.defer(() => courier.kill())
    this.courier = courier
    await courier.next('ready')
  }

  private async signUp(way: Way): Promise<void> {
    let next = 0
    const client = async (): Promise<void> => {
      while (next < this.users) {
        const body = `${way} ${++next}`
        const begun = performance.now()
        const response = await fetch(`http://127.0.0.1:${this.service}/${way}`, {
          method: 'POST',
          body: JSON.stringify(body),
        })
        this.times[way].push(performance.now() - begun)
        if (!response.ok) throw new Error(`the service answered ${await response.text()}`)
        this.show()
        // People do not come as fast as the service answers.
        if (way === 'queued') await pause(20)
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, client))
  }

  private async crash(): Promise<void> {
    while (this.times.queued.length < this.users / 4) await pause(5)
    await this.broker.kill()
    await pause(OUTAGE)
    await this.broker.start()
    while (this.times.queued.length < this.users / 2) await pause(5)
    await this.courier!.next('delivered')
    await this.courier!.kill()
    await this.startCourier()
  }

  /** Everybody has been greeted twice. */
  private async delivered(): Promise<void> {
    while (
      figure(this.post, 'SELECT count(DISTINCT kind || user) FROM deliveries') <
      this.users * ways.length * 2
    ) {
      this.show()
      await pause(50)
    }
  }

  private show(): void {
    const slowest = Math.max(1, ...ways.map((way) => quantile(this.times[way], 0.5)))
    this.stage.view.show(
      ways.map((way) => {
        const middle = quantile(this.times[way], 0.5)
        return `${way.padEnd(8)} ${bar(middle, slowest)} ${middle} ms  ${this.times[way].length} users`
      }),
    )
  }

  private report(): Report {
    const users = figure(this.app, 'SELECT count(*) FROM users')
    const figures = {
      users,
      mails: figure(this.post, "SELECT count(DISTINCT user) FROM deliveries WHERE kind = 'mail'"),
      texts: figure(this.post, "SELECT count(DISTINCT user) FROM deliveries WHERE kind = 'text'"),
      doubled: figure(this.post, 'SELECT count(*) - count(DISTINCT kind || user) FROM deliveries'),
      askedAgain: figure(this.post, 'SELECT sum(asked - 1) FROM deliveries'),
      unsent: figure(this.app, 'SELECT count(*) FROM millrace_outbox'),
      milliseconds: Object.fromEntries(
        ways.map((way) => [
          way,
          { p50: quantile(this.times[way], 0.5), p99: quantile(this.times[way], 0.99) },
        ]),
      ),
    }
    const ok =
      users === this.users * ways.length &&
      figures.mails === users &&
      figures.texts === users &&
      figures.doubled === 0
    const rows = ways.map((way) => [way, quantile(this.times[way], 0.5), quantile(this.times[way], 0.99)])
    return {
      ok,
      figures,
      summary: [
        ...table([['response time', 'p50 ms', 'p99 ms'], ...rows]),
        '',
        `${users} users, ${figures.mails} mails, ${figures.texts} text messages; ${figures.doubled} delivered twice.`,
        `After the crashes the post office was asked ${figures.askedAgain} times for what it had delivered, and knew it by its id.`,
      ],
    }
  }
}
