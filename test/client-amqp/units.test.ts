import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { joinAddresses, parseAddresses } from '../../src/client/amqp/address.ts'
import { CreditLine } from '../../src/client/amqp/credit-line.ts'
import { DeliveryWindow } from '../../src/client/amqp/delivery-window.ts'
import { readEnvelope, sendPrefix } from '../../src/client/amqp/envelope.ts'
import { foreignProtocol } from '../../src/client/amqp/foreign.ts'
import { resolveReconnect } from '../../src/client/amqp/options.ts'
import { Slab } from '../../src/client/amqp/slab.ts'
import { seed } from '../engine/seed.ts'

suite('addresses', () => {
  test('a URL gives host, port, user and password, and a name without them', () => {
    const [plain] = parseAddresses('amqp://broker')
    assert.deepEqual(
      [plain!.host, plain!.port, plain!.tls, plain!.username],
      ['broker', 5672, false, undefined],
    )
    const [full] = parseAddresses('AMQPS://us%40er:p%3Aw@[::1]:1234/')
    assert.deepEqual(
      [full!.host, full!.port, full!.tls, full!.username, full!.password],
      ['::1', 1234, true, 'us@er', 'p:w'],
    )
    assert.equal(full!.name, 'amqps://[::1]:1234')
    assert.equal(parseAddresses('amqps://x')[0]!.port, 5671)
  })

  test('failover lists and several URLs are the same list', () => {
    const joined = joinAddresses(['amqp://a', 'failover:(amqp://b,amqps://c:1)'])
    assert.equal(joined, 'failover:(amqp://a,amqp://b,amqps://c:1)')
    assert.deepEqual(
      parseAddresses(joined).map(({ name }) => name),
      ['amqp://a:5672', 'amqp://b:5672', 'amqps://c:1'],
    )
  })

  for (const url of [
    'amqp:broker',
    'amqp://',
    'amqp://host/queue',
    'amqp://host?x=1',
    'amqp://host:port',
    'failover:amqp://a',
    'failover:(amqp://a,http://b)',
    'amqp://%zz@host',
  ]) {
    test(`${url} is refused`, () => {
      assert.throws(() => parseAddresses(url), { code: 'url-invalid' })
    })
  }

  test('a refusal does not show the password', () => {
    assert.throws(
      () => parseAddresses('amqp://user:secret@host/x'),
      (error: Error) => !error.message.includes('secret'),
    )
  })
})

suite('what answers and is no AMQP 1.0 broker is named (pain: RabbitMQ on 5672)', () => {
  for (const [bytes, expected] of [
    ['AMQP\x00\x00\x09\x01', /rabbitmq:\/\//],
    ['HTTP/1.1', /HTTP/],
    ['ERROR\nme', /STOMP/],
    ['\x20\x02\x00\x01', /MQTT/],
    ['\x15\x03\x01\x00', /amqps:\/\//],
    ['-ERR unk', /redis:\/\//],
    ['SSH-2.0-', /5353482d322e302d/],
  ] as const) {
    test(JSON.stringify(bytes), () => {
      const error = foreignProtocol('amqp://h:1', Buffer.from(bytes, 'latin1'))
      assert.equal(error.code, 'protocol-mismatch')
      assert.match(error.message, expected)
    })
  }
})

suite('the window of deliveries', () => {
  test('is a map from positions and ids to items, whatever is taken in whatever order', () => {
    const step = fc.oneof(
      fc.record({ add: fc.integer({ min: 1, max: 5 }) }),
      fc.record({ from: fc.integer({ min: 0, max: 40 }), length: fc.integer({ min: 0, max: 20 }) }),
      fc.record({ take: fc.nat(40) }),
      fc.constant({ all: true }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), fc.integer({ min: -50, max: 50 }), (steps, offset) => {
        const window = new DeliveryWindow<string>()
        let id = (2 ** 32 + offset) % 2 ** 32
        const start = id
        let position = 0
        let model: { id: number; position: number; item: string }[] = []
        const wire = (relative: number) => (start + relative) >>> 0
        let relative = 0
        for (const each of steps) {
          if ('add' in each) {
            relative += each.add
            id = wire(relative)
            const item = `m${++position}`
            assert.equal(window.push(id, item), position)
            model.push({ id: relative, position, item })
          } else if ('from' in each) {
            if (relative === 0) continue
            const first = Math.max(1, relative - each.from)
            const last = first + each.length
            const taken: [string, number][] = []
            window.takeIds(wire(first), wire(last), (item, at) => taken.push([item, at]))
            const hit = model.filter((one) => one.id >= first && one.id <= last)
            assert.deepEqual(
              taken,
              hit.map((one) => [one.item, one.position]),
            )
            model = model.filter((one) => !hit.includes(one))
          } else if ('take' in each) {
            const at = position - each.take
            const hit = model.find((one) => one.position === at)
            if (hit) assert.equal(window.idAt(at), wire(hit.id))
            assert.equal(window.take(at), hit?.item)
            model = model.filter((one) => one !== hit)
          } else {
            assert.deepEqual(
              window.takeAll(),
              model.map(({ item }) => item),
            )
            model = []
          }
          assert.equal(window.size, model.length)
          assert.equal(window.oldest, model[0]?.position ?? window.next)
        }
      }),
      { seed, numRuns: 300 },
    )
  })
})

suite('credit over links that follow each other', () => {
  class FakeLink {
    credit = 0
    drains = 0
    grant(credit: number): void {
      this.credit += credit
    }
    drain(): void {
      this.drains++
    }
  }

  test('a new link gets what was granted and not used, and what came unseen', () => {
    const line = new CreditLine()
    const first = new FakeLink()
    line.attached(first as never)
    line.grant(10)
    line.used()
    line.used()
    line.lost(1)
    line.grant(5)
    const second = new FakeLink()
    line.attached(second as never)
    assert.equal(second.credit, 14)
  })

  test('what is granted during a drain waits for it, in order', async () => {
    const line = new CreditLine()
    const link = new FakeLink()
    line.attached(link as never)
    line.grant(3)
    const drained = line.drain()
    line.grant(4)
    const again = line.drain()
    line.grant(5)
    assert.deepEqual([link.credit, link.drains], [3, 1])
    line.drained(3)
    assert.equal(await drained, 3)
    assert.deepEqual([link.credit, link.drains], [7, 2])
    line.drained(4)
    assert.equal(await again, 4)
    assert.equal(link.credit, 12)
  })

  test('nobody waits for the answer to a drain that got lost', async () => {
    const line = new CreditLine()
    line.attached(new FakeLink() as never)
    line.grant(3)
    const drained = line.drain()
    line.lost(0)
    assert.equal(await drained, 3)
    line.grant(2)
    assert.equal(await line.drain(), 2, 'without link it lapses at once')
  })
})

test('header and annotations of a send say durability, priority and time to live (core 3.2.1)', () => {
  for (const [durability, priority, ttl] of [
    ['disk', 4, 0],
    ['os', 9, 0],
    ['memory', 0, 70_000],
    ['os', 4, 5],
  ] as const) {
    const prefix = sendPrefix(durability, priority, ttl)
    const read = readEnvelope(prefix, 0, prefix.length)
    assert.deepEqual(
      [read.durable, read.priority, read.ttl ?? 0, read.payloadStart],
      [durability !== 'memory', priority, ttl, prefix.length],
    )
    assert.equal(read.annotations !== undefined, durability === 'os')
  }
})

test('a slab keeps what was copied into it', () => {
  const slab = new Slab()
  const kept: [Uint8Array, number, number][] = []
  for (let i = 0; i < 500; i++) {
    const bytes = Buffer.alloc(i * 50, i)
    const at = slab.copy(bytes, 0, bytes.length)
    kept.push([slab.bytes, at, bytes.length])
  }
  for (const [i, [bytes, at, size]] of kept.entries()) {
    assert.equal(size, i * 50)
    assert.ok(bytes.subarray(at, at + size).every((byte) => byte === i % 256))
  }
})

test('options of reconnecting are checked', () => {
  assert.throws(() => resolveReconnect({ maxAttempts: -1 }), { code: 'argument-invalid' })
  assert.throws(() => resolveReconnect({ firstAttempts: 0 }), { code: 'argument-invalid' })
  assert.throws(() => resolveReconnect({ initial: 'soon' }), { code: 'duration-invalid' })
  assert.equal(resolveReconnect(false).maxAttempts, 0)
  assert.equal(resolveReconnect(undefined).maxAttempts, Number.POSITIVE_INFINITY)
})
