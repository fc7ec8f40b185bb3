import type { Broker } from '../../engine/broker.ts'
import { isMillraceError } from '../../model/errors.ts'
import { SeededRandom } from '../random.ts'
import { VirtualClock } from '../virtual-clock.ts'
import { Consumer } from './consumer.ts'
import { checkDisk } from './disk-bound.ts'
import { checkIdleness } from './idleness.ts'
import { Machine, type Tampering } from './machine.ts'
import { Operator } from './operator.ts'
import { CHOOSY, Plan, SOLO } from './plan.ts'
import { Producer } from './producer.ts'
import { Reference } from './reference.ts'
import { Report } from './report.ts'
import { listScheduled } from './schedule-stock.ts'
import { Scheduler } from './scheduler.ts'
import { isReported, takeStock } from './stock.ts'
import { Trace } from './trace.ts'
import { Transactor } from './transactor.ts'
import { Violation } from './violation.ts'
import { Weather } from './weather.ts'
import { type Actor, World } from './world.ts'

export interface SimulationOptions {
  readonly seed: number
  /** Calls into the engine that a run makes at least. */
  readonly operations?: number | undefined
  readonly tampering?: Tampering | undefined
}

/** What came of a run. */
export interface SimulationResult {
  readonly seed: number
  readonly report: Report
  /** What was broken, and the last things that happened; undefined when all was well. */
  readonly failure: { readonly error: Error; readonly events: readonly string[] } | undefined
}

/** Virtual milliseconds after which a question that was asked must have been answered. */
const PATIENCE = 60_000
const STARTS = 12

/**
 * Runs the real broker on the real journal, a simulated disk and a virtual clock, with everything decided by the seed:
 * who sends and receives what and when, and what the machine does to them.
 */
export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const { seed } = options
  const simulation = new Simulation(options)
  const fault = (error: unknown): void => simulation.machine.failed(error)
  process.on('unhandledRejection', fault)
  try {
    await simulation.run()
    return { seed, report: simulation.finish(), failure: undefined }
  } catch (error) {
    const cause = error instanceof Error ? error : new Error(String(error))
    return {
      seed,
      report: simulation.finish(),
      failure: { error: cause, events: simulation.trace.lines(4000) },
    }
  } finally {
    process.off('unhandledRejection', fault)
  }
}

class Simulation {
  readonly machine: Machine
  readonly trace = new Trace()
  private readonly world: World
  private readonly weather: Weather
  private readonly report = new Report()
  private readonly operator: Operator
  private readonly producers: Producer[]
  private readonly consumers: Consumer[]
  private readonly transactors: Transactor[]
  private readonly scheduler: Scheduler
  private readonly operations: number

  constructor(options: SimulationOptions) {
    const random = new SeededRandom(options.seed)
    const clock = new VirtualClock()
    this.operations = options.operations ?? 2000
    const plan = new Plan(random)
    const { journal, engine } = plan
    this.machine = new Machine({ clock, random }, { journal, engine, tampering: options.tampering ?? {} })
    const { machine, report, trace } = this
    const reference = new Reference(clock)
    plan.tell(reference)
    this.world = new World({ clock, random, machine, plan, reference, report, trace })
    this.producers = this.makeProducers()
    this.consumers = this.makeConsumers()
    this.transactors = ['transactor-0', 'transactor-1'].map((name) => new Transactor(this.world, name))
    this.scheduler = new Scheduler(this.world)
    this.operator = new Operator(this.world)
    this.world.actors = [
      ...this.producers,
      ...this.consumers,
      ...this.transactors,
      this.scheduler,
      this.operator,
    ]
    const climate = {
      crashes: random.between(3, 5),
      flips: random.chance(0.35) ? random.between(1, 3) : 0,
      errors: random.chance(0.6),
      fullDisk: random.chance(0.5),
    }
    this.weather = new Weather(this.world, climate, this.operations)
  }

  async run(): Promise<void> {
    const { world, machine, weather, report } = this
    const { random } = world
    await this.start()
    while (report.counts.operations < this.operations || weather.crashesLeft > 0) {
      weather.act(report.counts.operations)
      if (machine.broker === null) await this.start()
      else if (world.failing) weather.spring(random.chance(0.5) ? 'power cut' : 'killed')
      else if (random.chance(0.0015)) await this.restart()
      else this.act(machine.broker)
      await machine.run(random.between(0, 6))
      if (random.chance(0.004)) await this.rest()
    }
    await this.wind()
  }

  finish(): Report {
    const { report, machine } = this
    report.count('seeds')
    report.count('backByDamage', this.world.reference.returned)
    report.countFaults(machine.disk.injected)
    return report
  }

  private makeProducers(): Producer[] {
    const { random } = this.world
    const count = random.between(2, 5)
    return Array.from(
      { length: count },
      (_, i) => new Producer(this.world, `producer-${i}`, random.chance(0.6)),
    )
  }

  private makeConsumers(): Consumer[] {
    const { random, plan } = this.world
    const consumed = plan.queues.filter(({ name }) => name !== 'deep' || !plan.floods)
    const names = consumed.flatMap(({ name }) => (random.chance(0.5) ? [name, `${name}.dlq`] : [name]))
    return names.flatMap((queue) =>
      Array.from(
        // Somebody has to choose, and somebody to stand by.
        { length: random.pick(queue === CHOOSY || queue === SOLO ? [2, 3] : [0, 1, 1, 2, 3]) },
        (_, i) =>
          new Consumer(this.world, queue, {
            name: `consumer-${queue}-${i}`,
            choosiness: queue === CHOOSY ? 0.8 : 0.2,
          }),
      ),
    )
  }

  private act(broker: Broker): void {
    const { random } = this.world
    const kind = random.weighted({
      produce: 40,
      consume: 55,
      transact: 25,
      schedule: 8,
      operate: 4,
      reconnect: 1,
    })
    if (this.world.plan.floods && random.chance(0.008))
      random.pick(this.producers).flood(broker, 'deep', 1000)
    else if (kind === 'transact') random.pick(this.transactors).act(broker)
    else if (kind === 'schedule') this.scheduler.act(broker)
    else if (kind === 'operate') this.operator.act(broker)
    else if (kind === 'reconnect') random.pick(this.producers).reconnect(broker)
    else if (kind === 'produce') random.pick(this.producers).act(broker)
    else random.pick<Actor>(this.consumers.length > 0 ? this.consumers : this.producers).act(broker)
  }

  /** Ends the broker in good order in the middle of everything, if nothing comes between. */
  private async restart(): Promise<void> {
    this.world.note('--- closing')
    if (await this.machine.shutDown()) this.world.endActors('closed')
  }

  /** Starts the broker, however often it takes, and takes stock of what it still has. */
  private async start(): Promise<void> {
    const { machine, world, weather, report } = this
    for (let attempt = 1; attempt <= STARTS; attempt++) {
      // Whoever runs a machine gives it room and a good disk in the end.
      if (attempt > STARTS / 3) weather.giveSpace()
      if (attempt > STARTS / 2) weather.calm()
      const names: string[] = []
      try {
        const recovered = await machine.boot()
        if (recovered === undefined) continue
        world.note('started', recovered)
        report.count('restarts')
        world.reference.schedules.started()
        report.count('damageReports', recovered.quarantined.length)
        world.reference.started(recovered)
        names.push(...recovered.recoveredQueues.map(({ name }) => name))
        report.count('recoveredQueues', names.length)
        // Somebody is always there to hear that the journal has failed; it may have failed already.
        machine.broker?.connect(world.sink({}))
      } catch (error) {
        if (!isMillraceError(error)) throw error
        report.count('refusedStarts')
        world.note('start refused', error.code, error.message)
        weather.spring('killed')
        continue
      }
      const { broker } = machine
      const isKnown = broker !== null && (await world.homes.started(world, broker, names))
      if (isKnown && (await takeStock(world, broker)) !== undefined && !world.failing) {
        this.operator.started(broker)
        world.plan.declareAt(broker)
        return
      }
      if (machine.broker !== null) weather.spring('killed')
    }
    throw new Violation('progress', `${STARTS} starts and no broker that runs`)
  }

  /** Everybody waits until what was asked for is answered; then stock is taken. */
  private async rest(): Promise<void> {
    const { machine, world } = this
    const { broker } = machine
    if (broker === null || world.failing) return
    const isQuiet = (): boolean =>
      machine.broker !== broker || world.failing || world.actors.every(({ awaited }) => awaited === 0)
    if (!(await machine.runUntil(isQuiet, PATIENCE))) {
      const waiting = world.actors.filter(({ awaited }) => awaited > 0).length
      throw new Violation('progress', `${waiting} wait in vain for an answer`)
    }
    if (machine.broker !== broker || world.failing) return
    const stock = await takeStock(world, broker)
    if (stock !== undefined && machine.broker === broker && !world.failing)
      await checkIdleness(world, broker, stock)
  }

  /** The end: everything is repaired, restarted in good order, looked at, consumed, and must be gone then. */
  private async wind(): Promise<void> {
    const { machine, world, weather } = this
    weather.clear()
    if (machine.broker === null || world.failing) {
      if (machine.broker !== null) weather.spring('killed')
      await this.start()
    }
    await this.rest()
    await this.resend()
    for (const transactor of this.transactors) transactor.settleUp(machine.broker!)
    this.scheduler.settleUp(machine.broker!)
    await this.rest()
    if (!(await machine.shutDown())) throw new Violation('progress', 'the broker failed on a good disk')
    world.endActors('closed')
    await this.start()
    this.countDepartures()
    await checkDisk(world)
    await this.consumeAll()
    await checkDisk(world)
  }

  /** Those who insist get an answer in the end. */
  private async resend(): Promise<void> {
    const { machine, world } = this
    for (let round = 0; round < 200 && this.producers.some(({ insists }) => insists); round++) {
      for (const producer of this.producers) if (producer.insists) producer.act(machine.broker!)
      await machine.run(20)
    }
    for (const producer of this.producers) producer.giveUp()
    await this.rest()
    if (world.failing) throw new Violation('progress', 'the broker failed on a good disk')
  }

  private countDepartures(): void {
    for (const { departed } of this.machine.broker!.queues()) {
      this.report.count('expired', departed.expired)
      this.report.count('dropped', departed.dropped)
      this.report.count('deadLettered', departed['dead-lettered'])
    }
  }

  private async consumeAll(): Promise<void> {
    const { machine, world } = this
    const broker = machine.broker!
    const consumers = new Map<string, Consumer>()
    const isEmpty = (): boolean => broker.queues().every(({ messages }) => messages === 0)
    for (let round = 0; round < 2000; round++) {
      if (isEmpty() && (await this.isNothingScheduled(broker))) break
      // Dead-letter queues come into being on the way.
      for (const { definition } of broker.queues()) {
        const { name } = definition
        if (!consumers.has(name))
          consumers.set(name, new Consumer(world, name, { name: `last-${name}`, choosiness: 0 }))
      }
      world.actors = [...this.producers, ...consumers.values(), this.operator]
      for (const consumer of consumers.values()) consumer.devour(broker)
      await machine.run(30)
    }
    await this.rest()
    if (!(await this.isNothingScheduled(broker)))
      throw new Violation('schedule', 'something is scheduled for ever')
    for (const copy of world.reference.alive) {
      if (world.reference.isDue(copy) && !isReported(world, broker, copy)) {
        throw new Violation(
          'nothing lost',
          `${copy.message.id} stays in ${copy.queue} and is delivered to nobody`,
        )
      }
    }
    if (!isEmpty()) {
      const left = broker.queues().filter(({ messages }) => messages > 0)
      throw new Violation('counts', `nothing is left, and yet: ${JSON.stringify(left)}`)
    }
  }

  private async isNothingScheduled(broker: Broker): Promise<boolean> {
    const { world } = this
    // Of what was damaged in the schedule nobody can say which queues count it.
    if (!world.reference.damaged) return broker.queues().every(({ scheduled }) => scheduled === 0)
    return (await listScheduled(world, broker))?.length === 0
  }
}
