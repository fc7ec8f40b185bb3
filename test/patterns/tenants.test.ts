import assert from 'node:assert/strict'
import { once } from 'node:events'
import { DatabaseSync } from 'node:sqlite'
import { suite, test } from 'node:test'
import { connect, MillraceError, type Queue, queue } from '../../src/index.ts'
import {
  fromSqlite,
  migrate,
  type Outbox,
  openOutbox,
  outboxSchema,
  relayTenants,
} from '../../src/patterns/index.ts'
import { bodies, take } from './outbox-bench.ts'
import { WatchedDatabase } from './watched-database.ts'

const orders: Queue<number> = queue<number>('orders')
const quickly = { poll: { min: 1, max: 20 } } as const

interface Tenant {
  readonly name: string
  readonly database: WatchedDatabase
  readonly outbox: Outbox
  send(body: number, to?: Queue<number>): Promise<unknown>
}

async function tenantsOf(count: number): Promise<Tenant[]> {
  const made: Tenant[] = []
  for (let i = 0; i < count; i++) {
    const database = new WatchedDatabase(fromSqlite(new DatabaseSync(':memory:')))
    await migrate(database, outboxSchema)
    const outbox = await openOutbox({ database })
    const send: Tenant['send'] = (body, to = orders) =>
      database.transaction((tx) => outbox.send(tx, to, body))
    made.push({ name: `tenant ${i}`, database, outbox, send })
  }
  return made
}

function named(tenants: readonly Tenant[]): [string, Outbox][] {
  return tenants.map(({ name, outbox }) => [name, outbox])
}

suite('pitfall 12: a database for each tenant', () => {
  test('of many databases no more are in use at once than were allowed, one connection each, and all are served', async () => {
    await using mq = await connect('memory:')
    const tenants = await tenantsOf(20)
    for (const [i, { send }] of tenants.entries()) await send(i)
    const [inUse, most] = [new Map<string, number>(), { databases: 0, connections: 0 }]
    for (const { name, database } of tenants)
      database.onStep = async (step) => {
        // A transaction has begun, or ended, in the other two.
        if (step === 'before COMMIT') return
        inUse.set(name, (inUse.get(name) ?? 0) + (step.startsWith('before') ? 1 : -1))
        const used = [...inUse.values()].filter((calls) => calls > 0)
        most.databases = Math.max(most.databases, used.length)
        most.connections = Math.max(most.connections, database.open)
        await new Promise((resolve) => setImmediate(resolve))
      }
    const relay = await relayTenants(mq, () => named(tenants), { ...quickly, atOnce: 3 })
    const arrived = bodies(await take(mq, orders, 20))
    await relay.close()
    assert.deepEqual(
      arrived.toSorted((a, b) => a - b),
      tenants.map((_, i) => i),
    )
    assert.deepEqual(most, { databases: 3, connections: 1 })
    assert.equal(relay.statistics.sent, 20)
  })

  test('a tenant with a long backlog holds up no other', async () => {
    await using mq = await connect('memory:')
    const [busy, quiet] = (await tenantsOf(2)) as [Tenant, Tenant]
    await busy.database.transaction(async (tx) => {
      for (let i = 0; i < 200; i++) await busy.outbox.send(tx, orders, i)
    })
    await quiet.send(-1)
    const both = named([busy, quiet])
    await using _relay = await relayTenants(mq, () => both, { ...quickly, atOnce: 1, batch: 10 })
    const arrived = bodies(await take(mq, orders, 201))
    assert.ok(arrived.indexOf(-1) <= 10, `the other one came as number ${arrived.indexOf(-1)}`)
  })

  test('one whose database is away is told of once, and passed over for a while; nothing of it is lost', async () => {
    await using mq = await connect('memory:')
    const [sick, well] = (await tenantsOf(2)) as [Tenant, Tenant]
    await sick.send(1)
    sick.database.failure = new MillraceError('database-unavailable', 'gone')
    const relay = await relayTenants(mq, () => named([sick, well]), quickly)
    const told: string[] = []
    relay.on('error', ({ code }, tenant) => told.push(`${tenant}: ${code}`))
    const asked = sick.database.statements.length
    for (let i = 10; i < 30; i++) {
      await well.send(i)
      assert.deepEqual(bodies(await take(mq, orders, 1)), [i])
    }
    assert.deepEqual(told, ['tenant 0: database-unavailable'])
    assert.ok(sick.database.statements.length - asked <= 6, 'asked again and again')
    sick.database.failure = undefined
    assert.deepEqual(bodies(await take(mq, orders, 1)), [1])
    await relay.close()
  })

  test('tenants come and go', async () => {
    await using mq = await connect('memory:')
    const [first, second] = (await tenantsOf(2)) as [Tenant, Tenant]
    let present = [first]
    await using relay = await relayTenants(mq, () => named(present), quickly)
    await first.send(1)
    assert.deepEqual(bodies(await take(mq, orders, 1)), [1])
    assert.match(`${first.outbox.explain()}`, /noticed at once/)
    present = [second]
    await second.send(2)
    assert.deepEqual(bodies(await take(mq, orders, 1)), [2])
    await first.send(3)
    const { rounds } = relay.statistics
    while (relay.statistics.rounds < rounds + 3) await new Promise((resolve) => setTimeout(resolve, 1))
    assert.equal((await first.outbox.report()).messages, 1)
    assert.match(`${first.outbox.explain()}`, /No relay is running/)
  })

  test('a poison message is reported with its tenant; a list that fails, without one', async () => {
    await using mq = await connect('memory:')
    const [only] = (await tenantsOf(1)) as [Tenant]
    await mq.declare(queue('taken', { policy: { maxMessages: 5 } }))
    await only.send(1, queue<number>('taken', { policy: { maxMessages: 6 } }))
    let fails = true
    const list = () => {
      if (fails) throw new MillraceError('database-unavailable', 'the list is gone')
      return named([only])
    }
    await using relay = await relayTenants(mq, list, quickly)
    const [error, nobody] = await once(relay, 'error')
    assert.deepEqual([error.code, nobody], ['database-unavailable', undefined])
    fails = false
    const [failure, tenant] = await once(relay, 'failed')
    assert.deepEqual([failure.error.code, failure.poison, tenant], ['destination-conflict', true, 'tenant 0'])
  })

  test('without a broker it ends by itself, and everything stays', async () => {
    const mq = await connect('memory:')
    const tenants = await tenantsOf(3)
    const relay = await relayTenants(mq, () => named(tenants), quickly)
    const told = once(relay, 'error')
    await mq.close()
    for (const { send } of tenants) await send(1)
    assert.equal((await told)[0].code, 'closed')
    await relay.close()
    for (const { outbox } of tenants) assert.equal((await outbox.report()).messages, 1)
  })

  test('options that make no sense are refused', async () => {
    await using mq = await connect('memory:')
    for (const options of [{ atOnce: 0 }, { batch: 0 }])
      await assert.rejects(
        relayTenants(mq, () => [], options),
        { code: 'argument-invalid' },
      )
  })
})
