import type { ScheduledMessage, ScheduledPage } from '../../engine/api.ts'
import type { Broker } from '../../engine/broker.ts'
import type { Copy } from './messages.ts'
import { Violation } from './violation.ts'
import type { World } from './world.ts'

const PAGE = 250
/** Virtual milliseconds that a page may take. */
const PATIENCE = 120_000

const ATTEMPTS = 1_000

/** Everything that is scheduled and not due, or not yet put into its queues; undefined when the broker has ended. */
export async function listWhole(world: World, broker: Broker): Promise<ScheduledMessage[] | undefined> {
  let gap: string | undefined
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const messages = await listScheduled(world, broker)
    if (messages === undefined) return undefined
    gap = gapIn(world, broker, messages)
    if (gap === undefined) return messages
    // Something became due while the list was made.
    await world.machine.run(5)
  }
  throw new Violation('counts', gap!)
}

/**
 * What is in queues by now and was listed as scheduled before: it became due meanwhile. Throws when it is listed still. Undefined
 * when the broker has ended.
 */
export async function alsoListed(
  world: World,
  broker: Broker,
  scheduled: readonly ScheduledMessage[],
  found: ReadonlyMap<Copy, unknown>,
): Promise<ReadonlySet<ScheduledMessage> | undefined> {
  const shown = new Set(Array.from(found.keys(), ({ message }) => message.number))
  const twice = scheduled.filter(({ format, repetition }) => repetition === undefined && shown.has(format))
  if (twice.length === 0) return new Set()
  const again = await listScheduled(world, broker)
  if (again === undefined) return undefined
  const listed = new Set(again.map(({ lsn }) => lsn))
  const doubled = twice.find(({ lsn }) => listed.has(lsn))
  if (doubled !== undefined) {
    const { id } = world.reference.messages.get(doubled.format)!
    throw new Violation('nothing doubled', `${id} is in ${doubled.targets.join(', ')} and in the schedule`)
  }
  return new Set(twice)
}

/** What is listed as scheduled, as it may change meanwhile; undefined when the broker has ended. */
export async function listScheduled(world: World, broker: Broker): Promise<ScheduledMessage[] | undefined> {
  const { machine } = world
  const messages: ScheduledMessage[] = []
  for (let next: string | undefined = ''; next !== undefined; ) {
    let page: ScheduledPage | undefined
    broker.scheduled(undefined, next, PAGE, (answer) => {
      page = answer
    })
    const isDone = (): boolean => page !== undefined || machine.broker !== broker || world.failing
    if (!(await machine.runUntil(isDone, PATIENCE)))
      throw new Violation('progress', 'listing what is scheduled is not answered')
    if (page === undefined) return undefined
    messages.push(...page.messages)
    next = page.next
  }
  return messages
}

/** Where the counts say otherwise. What waits for a decision is counted and not listed; some of it may be rolled back by now. */
function gapIn(
  { reference }: World,
  broker: Broker,
  messages: readonly ScheduledMessage[],
): string | undefined {
  if (reference.damaged) return undefined
  for (const { definition, scheduled } of broker.queues()) {
    const { name } = definition
    const listed = messages.filter(({ targets }) => targets.includes(name)).length
    if (listed <= scheduled && scheduled <= listed + reference.schedules.undecidedFor(name)) continue
    return `${name} counts ${scheduled} scheduled messages and lists ${listed}`
  }
  return undefined
}
