import type { BrowsedMessage, BrowsePage, QueueStatus } from '../../engine/api.ts'
import type { Broker } from '../../engine/broker.ts'
import type { Copy } from './messages.ts'
import type { QueueFacts } from './reference.ts'
import { Violation } from './violation.ts'
import type { World } from './world.ts'

const PAGE = 250
/** Virtual milliseconds that a page may take. */
const PATIENCE = 120_000

/**
 * Compares everything that the broker shows with the reference, and settles what was open: a copy that may have left and is
 * not there is gone for good from now on. To be called when no answers are awaited. Answers false when the broker ended
 * meanwhile.
 */
export async function takeStock(world: World, broker: Broker): Promise<boolean> {
  world.report.count('stocktakings')
  const found = new Map<Copy, string>()
  const moved = deadLettered(broker)
  for (const { definition } of broker.queues()) {
    const messages = await browseAll(world, broker, definition.name)
    if (messages === undefined) return false
    const moving = deadLettered(broker) - moved
    note(world, messages, found, moving)
    const status = broker.queue(definition.name)
    if (status !== undefined) checkStatus(world, status, messages.length)
  }
  const expired = compare(world, broker, found)
  for (const status of broker.queues()) checkDepartures(world, status, expired.get(status.definition.name) ?? 0)
  return true
}

async function browseAll(world: World, broker: Broker, queue: string): Promise<BrowsedMessage[] | undefined> {
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

/** `moving`: messages that went to dead-letter queues while we looked, and may be seen twice. */
function note(
  world: World,
  messages: readonly BrowsedMessage[],
  found: Map<Copy, string>,
  moving: number,
): void {
  for (const message of messages) {
    const copy = world.identify(message)
    const elsewhere = found.get(copy)
    if (elsewhere !== undefined && moving === 0) {
      throw new Violation(
        'nothing doubled',
        `${copy.message.id} of ${copy.queue} is in ${message.queue} and in ${elsewhere}`,
      )
    }
    found.set(copy, message.queue)
    copy.licence = null
  }
  world.report.count('copiesCompared', messages.length)
}

/**
 * What was not found either has a reason to be gone, or is lost. Answers how many may have expired, by queue.
 */
function compare(world: World, broker: Broker, found: ReadonlyMap<Copy, string>): Map<string, number> {
  const { reference } = world
  const expired = new Map<string, number>()
  for (const copy of [...reference.alive]) {
    if (found.has(copy)) continue
    const { message } = copy
    if (reference.isDue(copy)) {
      if (!reference.damaged || !hasReport(broker)) {
        const { id, level } = message
        throw new Violation(
          'nothing lost',
          `${id} (${level}, lsn ${copy.lsn}) is not in ${copy.queue} any more`,
        )
      }
      world.report.count('lostToDamage')
    }
    if (message.outcome !== 'confirmed' && message.insistent) {
      // It will be sent again; whether it was there before, and left, nobody knows.
      if (copy.delivered || copy.licence !== null) copy.doubtful = true
      continue
    }
    if (reference.mayHaveExpired(copy)) {
      // Hidden, or swept already: only counts can tell, and a clock set back shows it again.
      if (copy.certain && copy.level !== 'memory') expired.set(copy.queue, (expired.get(copy.queue) ?? 0) + 1)
      continue
    }
    const explained = copy.doubtful || copy.accepting || copy.licence === 'deleted'
    if (copy.certain && !explained && copy.level !== 'memory') reference.factsOf(copy.queue).left++
    reference.bury(copy)
  }
  return expired
}

function hasReport(broker: Broker): boolean {
  return broker.store().quarantined > 0 || broker.queues().some(({ departed }) => departed.quarantined > 0)
}

function checkStatus(world: World, status: QueueStatus, shown: number): void {
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
  if (messages < shown || (messages > shown && !hides && !world.reference.damaged)) {
    throw new Violation('counts', `${name} counts ${messages} messages and shows ${shown}`)
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
  const { definition, departed, messages, published } = status
  const facts = reference.factsOf(definition.name)
  if (reference.damaged) return
  const all = Object.values(departed).reduce((sum, count) => sum + count, 0)
  if (!facts.mixed && published !== messages + all) {
    const counts = JSON.stringify(departed)
    throw new Violation(
      'counts',
      `${facts.name} took ${published}, has ${messages}, let go ${all}: ${counts}`,
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
  // Of those that may have expired, some are only hidden.
  const left = facts.left + Math.max(0, expired - messages)
  if (left > departed.dropped + departed.purged + departed.expired) {
    throw new Violation('counts', `${facts.name} let ${left} go and counts ${JSON.stringify(departed)}`)
  }
}

function deadLettered(broker: Broker): number {
  return broker.queues().reduce((sum, { departed }) => sum + departed['dead-lettered'], 0)
}
