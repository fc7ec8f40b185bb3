import type { Publication } from '../../src/engine/api.ts'
import type { Broker } from '../../src/engine/broker.ts'
import type { Clock } from '../../src/engine/ports/clock.ts'
import { OperationReader, OperationType, SCHEDULE_QUEUE } from '../../src/engine/ports/operations.ts'
import { departures } from '../../src/engine/ports/settle-operation.ts'
import type { Store, StoreClient } from '../../src/engine/ports/store.ts'
import { DueEntry } from '../../src/engine/schedule/due-entry.ts'
import type { DuePage } from '../../src/engine/schedule/due-page.ts'
import type { Firing } from '../../src/engine/schedule/firing.ts'
import type { Schedule } from '../../src/engine/schedule/schedule.ts'
import { coreOf, replaced, type Tampering, withClient } from './tampering.ts'

/** The kind of the section of a checkpoint that holds the schedule. */
const SCHEDULE_SECTION = 8

/** The same for what is to be delivered later. */
export const scheduleBugs: Readonly<Record<string, Tampering>> = {
  'delivers what is scheduled a little early': {
    broker: (broker) => withFiringClock(broker, (clock) => ({ wall: () => clock.wall() + 5 })),
  },
  'measures by the time that passes when something is due': {
    broker: (broker) =>
      withFiringClock(broker, (clock) => {
        const offset = clock.wall() - clock.monotonic()
        return { wall: () => clock.monotonic() + offset }
      }),
  },
  'forgets what is scheduled at a restart': {
    store: (store) =>
      withClient(store, (client) => ({
        restore: (section) => section[0] !== SCHEDULE_SECTION && client.restore(section),
      })),
  },
  'forgets what was due while it was down': { broker: forgetOverdue },
  'forgets at a restart what was cancelled': {
    store: (store) =>
      withoutScheduleOperations(
        store,
        (type, reader) => type === OperationType.settle && departures[reader.byte()] === 'cancelled',
      ),
  },
  'says that something is cancelled and lets it be': {
    broker: (broker) => replaced(broker, { cancelScheduled: (_, done) => done(true) }),
  },
  'says that something is cancelled before that is durable': { broker: cancelEarly },
  'cancels what several queues get with what is for one of them': { broker: cancelForAll },
  'delivers with its commit what a transaction sends for later': publishing(({ due, ...publication }) => ({
    ...publication,
    due: publication.transaction === undefined ? due : undefined,
  })),
  'schedules what a transaction sends before it is committed': publishing(
    ({ transaction, ...publication }) => ({
      ...publication,
      transaction: publication.due === undefined ? transaction : undefined,
    }),
  ),
  'begins the time to live when something is due': publishing(({ due, expiry, ...publication }, now) => ({
    ...publication,
    due,
    expiry: expiry === 0 || due === undefined ? expiry : expiry + Math.max(0, Math.ceil(due - now)),
  })),
  'repeats once more than was asked for': publishing(({ repeat, ...publication }) => ({
    ...publication,
    repeat: repeat?.times === undefined ? repeat : { ...repeat, times: repeat.times + 1 },
  })),
  'forgets at a restart how often something has been repeated': {
    store: (store) => withoutScheduleOperations(store, (type) => type === OperationType.requeue),
  },
  'passes over the last entry of a page': { broker: shortenPages },
}

function publishing(tamper: (publication: Publication, now: number) => Publication): Tampering {
  return {
    broker: (broker) =>
      replaced(broker, {
        publish: (connection, publication) =>
          broker.publish(connection, tamper(publication, coreOf(broker).clock.wall())),
      }),
  }
}

/** Replay passes over operations on what is scheduled. The reader stands behind the number of the queue. */
function withoutScheduleOperations(
  store: Store,
  isForgotten: (type: number, reader: OperationReader) => boolean,
): Store {
  const reader = new OperationReader()
  return withClient(store, (client) => ({
    apply: (...operation: Parameters<StoreClient['apply']>) => {
      const [, type, bytes, start, end] = operation
      reader.reset(bytes, start, end)
      const isSettling = type === OperationType.settle || type === OperationType.requeue
      if (isSettling && reader.varint() === SCHEDULE_QUEUE && isForgotten(type, reader)) return
      client.apply(...operation)
    },
  }))
}

function scheduleOf(broker: Broker): Schedule {
  return Reflect.get(broker, 'schedule') as Schedule
}

/** What is due is looked for by another clock. */
function withFiringClock(broker: Broker, tamper: (clock: Clock) => Partial<Clock>): Broker {
  const core = coreOf(broker)
  const { clock } = core
  const firing: unknown = Reflect.get(broker, 'firing')
  Reflect.set(firing as Firing, 'core', replaced(core, { clock: replaced(clock, tamper(clock)) }))
  return broker
}

function forgetOverdue(broker: Broker): Broker {
  const firing = Reflect.get(broker, 'firing') as Firing
  const start = firing.start.bind(firing)
  firing.start = () => {
    const entry = new DueEntry()
    const now = coreOf(broker).clock.wall()
    while (scheduleOf(broker).index.take(now, entry) === 'taken');
    start()
  }
  return broker
}

function cancelEarly(broker: Broker): Broker {
  const queries: unknown = Reflect.get(broker, 'queries')
  Reflect.set(queries as object, 'whenDurable', (give: () => void) => coreOf(broker).answer(give))
  return broker
}

/** As if those that several queues get were for each of them alone. */
function cancelForAll(broker: Broker): Broker {
  return replaced(broker, {
    cancelAllScheduled: (name, done) => {
      const { index } = scheduleOf(broker)
      const scan = index.scan.bind(index)
      index.scan = (bounds, beside, wants, found) =>
        scan(bounds, beside, (entry) => entry.target === 0 || wants(entry), found)
      broker.cancelAllScheduled(name, done)
      index.scan = scan
    },
  })
}

function shortenPages(broker: Broker): Broker {
  const pages = Reflect.get(scheduleOf(broker).index, 'pages') as {
    load(facts: unknown, done: (content: DuePage) => void): void
  }
  const load = pages.load.bind(pages)
  pages.load = (facts, done) =>
    load(facts, (content) => {
      if (content.length > 1) content.length--
      done(content)
    })
  return broker
}
