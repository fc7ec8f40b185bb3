import assert from 'node:assert/strict'
import { once } from 'node:events'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type Context, connect, queue } from '../../src/index.ts'
import type { Told } from './attach-child.ts'
import { Crowd, type Member } from './attached-processes.ts'

const numbers = queue<number>('numbers')

async function crowd(t: TestContext, below?: string): Promise<Crowd> {
  const all = await Crowd.gather(below)
  t.after(() => all.end())
  return all
}

test('a second process attaches to the owner of a directory, and both see the same queues', {
  timeout: 20_000,
}, async (t) => {
  const all = await crowd(t)
  const owner = await all.join()
  owner.order({ order: 'send', from: 1, count: 3 })
  await owner.until('sent-all')
  const mq = await connect(all.url)
  assert.equal((await mq.receive(numbers))!.body, 1)
  await mq.send(numbers, 4)
  assert.equal((await mq.management.queues())[0]!.messages, 4)
  const connections = await mq.management.connections()
  assert.equal(connections.length, 2)
  const socket = statSync(join(all.url.slice('file:'.length), 'attach.sock'))
  assert.equal(socket.mode & 0o777, 0o600, 'nobody else may open the socket')
  await mq.close()
})

test('a client id has one user at a time, whichever process it is in', { timeout: 20_000 }, async (t) => {
  const all = await crowd(t)
  await all.join()
  const attached = await connect(all.url, { clientId: 'app' })
  await assert.rejects(connect(all.url, { clientId: 'app' }), { code: 'client-id-invalid' })
  // When the attached process owns the directory, its next connections are in the process itself.
  const back = once(attached, 'reconnected')
  await all.owner!.kill()
  await back
  await assert.rejects(connect(all.url, { clientId: 'app' }), { code: 'client-id-invalid' })
  await attached.close()
  await (await connect(all.url, { clientId: 'app' })).close()
})

test('a directory whose path is too long for a socket is shared all the same', {
  timeout: 20_000,
}, async (t) => {
  const all = await crowd(t, join('x'.repeat(100), 'y'.repeat(60)))
  await all.join()
  const mq = await connect(all.url)
  await mq.send(numbers, 1)
  await mq.close()
})

test('when the owner leaves in good order, the attached process takes over, and nobody is told to wait', {
  timeout: 20_000,
}, async (t) => {
  const all = await crowd(t)
  const owner = await all.join()
  const other = await all.join()
  owner.order({ order: 'send', from: 1, count: 100 })
  await owner.until('sent-all')
  owner.order({ order: 'leave' })
  await other.until('reconnected')
  other.order({ order: 'consume' })
  await other.until('accepted', 100)
  assert.deepEqual(
    numbersOf(all.told, 'accepted').toSorted((a, b) => a - b),
    Array.from({ length: 100 }, (_, i) => i + 1),
  )
})

test('owners are killed one after the other: nothing confirmed is lost or stored twice, nothing accepted comes again', {
  timeout: 60_000,
}, async (t) => {
  const all = await crowd(t)
  const [batch, kills] = [1_000, 3]
  let sent = 0
  const batches = new Map<Member, number>()
  const roles = {
    send: (member: Member) => {
      member.order({ order: 'send', from: sent, count: batch })
      sent += batch
      batches.set(member, (batches.get(member) ?? 0) + 1)
    },
    consume: (member: Member) => member.order({ order: 'consume' }),
    wait: () => {},
  }
  const cast = new Map<Member, keyof typeof roles>()
  const enter = async (role: keyof typeof roles) => {
    const member = await all.join()
    cast.set(member, role)
    roles[role](member)
  }
  for (const role of ['send', 'consume', 'wait'] as const) await enter(role)
  for (let i = 0; i < kills; i++) {
    const enough = numbersOf(all.told, 'accepted').length + batch / 10
    for (const [member, role] of cast) if (role === 'send' && all.members.has(member)) roles.send(member)
    await all.when(() => numbersOf(all.told, 'accepted').length > enough)
    const { killed, takeover } = await all.killOwner()
    const role = cast.get(killed)!
    t.diagnostic(`killed the owner, whose role was to ${role}: ${Math.round(takeover)} ms`)
    await enter(role)
  }
  for (const [member, count] of batches) {
    if (all.members.has(member)) await member.until('sent-all', count)
  }
  const mq = await connect(all.url)
  await drained(mq)
  await mq.close()
  check(all.history)
})

/** Resolves when the queue is empty. */
async function drained(mq: Context): Promise<void> {
  for (;;) {
    const [report] = await mq.management.queues()
    if (report!.messages === 0) return
  }
}

function numbersOf(told: readonly Told[], event: 'confirmed' | 'accepted'): number[] {
  return told.flatMap((one) => (one.event === event ? [one.number] : []))
}

function check(told: readonly Told[]): void {
  const accepted = new Set<number>()
  const storedAs = new Map<number, string>()
  for (const one of told) {
    if (one.event === 'accepted') accepted.add(one.number)
    if (one.event !== 'delivered') continue
    const { number, brokerId } = one
    assert.ok(!accepted.has(number), `${number} was accepted and came again`)
    assert.equal(storedAs.get(number) ?? brokerId, brokerId, `${number} is stored once`)
    storedAs.set(number, brokerId)
  }
  const confirmed = numbersOf(told, 'confirmed')
  assert.ok(confirmed.length > 0)
  for (const number of confirmed) assert.ok(storedAs.has(number), `${number} was confirmed and is lost`)
}
