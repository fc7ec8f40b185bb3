import type { BrowsedMessage, BrowsePage, QueueStatus } from '../../engine/api.ts'
import type { Broker } from '../../engine/broker.ts'
import type { Copy } from './messages.ts'
import { LATEST, TICKS } from './plan.ts'
import { isLasting, type QueueFacts } from './reference.ts'
import { alsoListed, listWhole } from './schedule-stock.ts'
import { Violation } from './violation.ts'
import type { World } from './world.ts'

const PAGE = 250
/** Virtual milliseconds that a page may take. */
const PATIENCE = 120_000
const ATTEMPTS = 100
/** Copies in a frame of 16 KiB, which one flipped bit may cost. */
const MOST_LOST = 600

/**
 * Compares everything that the broker shows with the reference, and settles what was open: a copy that may have left and is
 * not there is gone for good from now on. To be called when no answers are awaited. Answers undefined when the broker ended
 * meanwhile.
 */
export async function takeStock(world: World, broker: Broker): Promise<Stock | undefined> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (!(await allWritten(world, broker))) return undefined
    const before = changes(world, broker)
    const scheduled = await listWhole(world, broker)
    // What was due by then is shown in its queues.
    if (scheduled === undefined || !(await allWritten(world, broker))) return undefined
    const stock = await collect(world, broker)
    const fired = stock && (await alsoListed(world, broker, scheduled, stock.found))
    if (stock === undefined || fired === undefined) return undefined
    // What has moved meanwhile may have been seen twice, or not at all.
    const isAwaited = world.actors.some(({ awaited }) => awaited > 0)
    if (isAwaited || changes(world, broker) !== before) {
      // Much of it happens soon, and then no more for a while.
      await world.machine.runUntil(() => world.machine.broker !== broker || world.failing, 20 * attempt)
      continue
    }
    for (const message of scheduled)
      for (const copy of world.identifyScheduled(message))
        if (!(fired.has(message) && stock.found.has(copy))) find(stock, copy, 'the schedule')
    compareAll(world, broker, stock)
    world.precedence.stockTaken(stock.shown)
    return stock
  }
  throw new Violation('progress', 'messages move without end although nobody does anything')
}

/** A message that has just gone to a dead-letter queue is shown when it is durable there. False: the broker has ended. */
async function allWritten(world: World, broker: Broker): Promise<boolean> {
  const { machine, clock } = world
  const isEnded = (): boolean => machine.broker !== broker || world.failing
  for (let round = 0; round < ATTEMPTS; round++) {
    const now = clock.monotonic()
    await machine.runUntil(() => isEnded() || clock.nextAt() > now, 0)
    if (isEnded()) return false
    const isDone = (): boolean => isEnded() || broker.store().unsyncedBytes === 0
    if (isDone()) return true
    if (!(await machine.runUntil(isDone, PATIENCE))) break
  }
  throw new Violation('progress', 'the journal does not get done')
}

/** A message as a queue shows it. */
export interface Shown {
  readonly copy: Copy
  readonly state: BrowsedMessage['state']
}

export interface Stock {
  /** By queue. */
  readonly shown: Map<string, Shown[]>
  /** What is shown, and where. */
  readonly found: Map<Copy, string[]>
  /** Messages that queues count and do not show, where nothing has come meanwhile. */
  readonly hidden: Map<string, number>
  /** What has to be found, or explained. */
  readonly known: readonly Copy[]
}

function find({ found }: Stock, copy: Copy, place: string): void {
  const places = found.get(copy)
  if (places === undefined) found.set(copy, [place])
  else places.push(place)
}

async function collect(world: World, broker: Broker): Promise<Stock | undefined> {
  const stock: Stock = {
    shown: new Map(),
    found: new Map(),
    hidden: new Map(),
    known: [...world.reference.alive],
  }
  const published = new Map(broker.queues().map((status) => [status.definition.name, status.published]))
  for (const { definition } of broker.queues()) {
    const { name } = definition
    const messages = await browseAll(world, broker, name)
    if (messages === undefined) return undefined
    const shown: Shown[] = []
    stock.shown.set(name, shown)
    for (const message of messages) {
      const copy = world.identify(message)
      shown.push({ copy, state: message.state })
      find(stock, copy, name)
    }
    const status = broker.queue(name)
    // What has come meanwhile, because it is due, may not be durable yet.
    if (status?.published === published.get(name))
      stock.hidden.set(name, (status?.messages ?? 0) - messages.length)
  }
  return stock
}

function compareAll(world: World, broker: Broker, { shown, found, hidden, known }: Stock): void {
  world.report.count('stocktakings')
  world.report.count('copiesCompared', found.size)
  for (const [copy, places] of found) {
    if (places.length > 1 && !world.reference.mayBeDoubled(copy)) {
      const { message, queue } = copy
      throw new Violation('nothing doubled', `${message.id} of ${queue} is in ${places.join(' and in ')}`)
    }
    copy.licence = null
  }
  if (!world.reference.damaged) world.reference.lastValues.checkShown(shown.get(LATEST) ?? [])
  world.units.takeStock(broker, found)
  const expired = compare(world, broker, found, known)
  for (const status of broker.queues()) {
    const { name } = status.definition
    const unseen = hidden.get(name)
    checkStatus(world, status, unseen ?? 0)
    // Of those that may have expired, some are only hidden until they are swept.
    checkDepartures(world, status, unseen === undefined ? 0 : (expired.get(name) ?? 0) - unseen)
  }
}

/** Everything that a queue shows; undefined when the broker has ended. */
export async function browseAll(
  world: World,
  broker: Broker,
  queue: string,
): Promise<BrowsedMessage[] | undefined> {
  const messages: BrowsedMessage[] = []
  let next: string | undefined = ''
  while (next !== undefined) {
    let page: BrowsePage | undefined
    broker.browse(queue, next, PAGE, (answer) => {
      page = answer
    })
    const isDone = (): boolean => page !== undefined || world.machine.broker !== broker || world.failing
    if (!(await world.machine.runUntil(isDone, PATIENCE)))
      throw new Violation('progress', `browsing ${queue} is not answered`)
    if (page === undefined) return undefined
    for (const message of page.messages) messages.push(message)
    next = page.next
  }
  return messages
}

/**
 * What was not found either has a reason to be gone, or is lost. Answers how many may have expired, by queue.
 */
function compare(
  world: World,
  broker: Broker,
  found: ReadonlyMap<Copy, unknown>,
  known: readonly Copy[],
): Map<string, number> {
  const { reference, machine } = world
  const expired = new Map<string, number>()
  for (const copy of known) {
    if (found.has(copy)) continue
    const { message } = copy
    if (message.outcome === 'hidden') continue
    if (reference.schedules.mayBeOver(copy)) {
      reference.schedules.over(copy)
      reference.bury(copy)
      continue
    }
    // Among what waits for a decision nobody can tell what is due and being read.
    if (reference.schedules.mayBeOnItsWay(copy) && reference.schedules.undecidedFor(copy.queue) > 0) continue
    if (reference.isDue(copy)) {
      if (!isReported(world, broker, copy)) {
        const { id, level } = message
        throw new Violation(
          'nothing lost',
          `${id} (${level}, lsn ${copy.lsn}) is not in ${copy.queue} any more`,
        )
      }
      world.report.count('lostToDamage')
      if (++reference.lost > MOST_LOST * machine.disk.injected.flippedBit) {
        throw new Violation('nothing lost', `${reference.lost} copies are gone with a few flipped bits`)
      }
    }
    if (reference.isKept(copy) && !reference.isDue(copy) && !reference.damaged) {
      reference.lastValues.checkReplaced(copy, (other) => found.has(other) || reference.mayHaveExpired(other))
      world.report.count('replaced')
    }
    if (message.outcome !== 'confirmed' && message.insistent) {
      // It will be sent again; whether it was there before, and left, nobody knows.
      if (copy.delivered || copy.licence !== null) copy.doubtful = true
      continue
    }
    if (reference.mayHaveExpired(copy)) {
      // Hidden, or swept already: only counts can tell, and a clock set back shows it again.
      if (copy.certain && !copy.doubtful && isLasting(copy))
        expired.set(copy.queue, (expired.get(copy.queue) ?? 0) + 1)
      continue
    }
    const explained = copy.doubtful || copy.accepting || copy.licence === 'deleted'
    if (copy.certain && !explained && isLasting(copy)) reference.factsOf(copy.queue).left++
    reference.bury(copy)
  }
  return expired
}

/** Damage takes messages away, and says so: in the report of a start, or in quarantine while the broker runs. */
export function isReported({ reference, machine }: World, broker: Broker, copy: Copy): boolean {
  if (!reference.damaged) return false
  return reference.isReported(copy) || machine.hasReportedDamage || broker.store().quarantined > 0
}

function checkStatus(world: World, status: QueueStatus, unseen: number): void {
  const { name } = status.definition
  const { messages, ready, waiting, acquired } = status
  if (ready + waiting + acquired !== messages) {
    throw new Violation(
      'counts',
      `${name} has ${messages} messages: ${ready} ready, ${waiting} waiting, ${acquired} acquired`,
    )
  }
  const facts = world.reference.factsOf(name)
  const hides = facts.mixed || facts.ttl < Number.POSITIVE_INFINITY || hasExpiring(world, facts)
  if (unseen < 0 || (unseen > 0 && !hides && !world.reference.damaged)) {
    throw new Violation('counts', `${name} counts ${messages} messages and shows ${messages - unseen}`)
  }
}

/** Messages that have expired are not shown, and counted until they are swept. */
function hasExpiring(world: World, { name }: QueueFacts): boolean {
  for (const copy of world.reference.alive) {
    if (copy.expiry < Number.POSITIVE_INFINITY && (copy.queue === name || `${copy.queue}.dlq` === name))
      return true
  }
  return false
}

function checkDepartures(world: World, status: QueueStatus, expired: number): void {
  const { reference } = world
  const { definition, departed, messages, pending, published } = status
  const facts = reference.factsOf(definition.name)
  if (reference.damaged) return
  const all = Object.values(departed).reduce((sum, count) => sum + count, 0)
  if (!facts.mixed && published !== messages + pending + all) {
    const counts = JSON.stringify(departed)
    throw new Violation(
      'counts',
      `${facts.name} took ${published}, has ${messages} and ${pending} pending, let go ${all}: ${counts}`,
    )
  }
  if (departed.accepted < facts.acceptedSurely || departed.accepted > facts.acceptedPerhaps) {
    if (!facts.mixed || departed.accepted < facts.acceptedSurely) {
      throw new Violation(
        'counts',
        `${facts.name} counts ${departed.accepted} accepted; ${facts.acceptedSurely} to ${facts.acceptedPerhaps} were`,
      )
    }
  }
  const left = facts.left + Math.max(0, expired)
  const { dropped, purged, replaced, cancelled } = departed
  if (left > dropped + purged + departed.expired + replaced + cancelled) {
    throw new Violation('counts', `${facts.name} let ${left} go and counts ${JSON.stringify(departed)}`)
  }
}

/** What is another when a message leaves a queue, or is decided, or a queue goes with its messages. */
function changes(world: World, broker: Broker): string {
  const queues = broker.queues()
  let sum = 0
  for (const { departed, definition } of queues) {
    for (const count of Object.values(departed)) sum += count
    // What repeats and has no room is dropped all the time.
    if (definition.name === TICKS) sum -= departed.dropped
  }
  return [sum, queues.length, world.units.decisions].join()
}
