import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isMillraceError } from '../../src/model/errors.ts'
import { MAX_DEPTH } from '../../src/wire/amqp10/checks.ts'
import { Reader } from '../../src/wire/amqp10/reader.ts'
import {
  AmqpArray,
  AmqpChar,
  AmqpSymbol,
  Decimal,
  Described,
  Typed,
  type TypeName,
  Uuid,
} from '../../src/wire/amqp10/values.ts'
import { Writer } from '../../src/wire/amqp10/writer.ts'

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000)

function encode(value: unknown): Buffer {
  const writer = new Writer(1)
  writer.value(value)
  return Buffer.from(writer.slice())
}

function decode(bytes: Uint8Array): unknown {
  const reader = new Reader(bytes)
  const value = reader.value()
  assert.equal(reader.at, bytes.length, 'the whole encoding is consumed')
  return value
}

/** Parts 0x.. and "text" of the drawings in the specification. */
function bytes(...parts: (number | string)[]): Buffer {
  return Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.of(part))))
}

test('core part 1, 1.1.2: the described URL of the specification', () => {
  const drawn = bytes(0x00, 0xa1, 0x03, 'URL', 0xa1, 0x1e, 'http://example.org/hello-world')
  assert.deepEqual(decode(drawn), new Described('URL', 'http://example.org/hello-world'))
  assert.deepEqual(encode(new Described('URL', 'http://example.org/hello-world')), drawn)
})

test('core part 1, 1.4: the book with an array of authors of the specification', () => {
  const drawn = bytes(
    ...[0x00, 0xa3, 0x11, 'example:book:list', 0xc0, 0x40, 0x03, 0xa1, 0x15, 'AMQP for & by Dummies'],
    ...[0xe0, 0x25, 0x02, 0xa1, 0x0e, 'Rob J. Godfrey', 0x13, 'Rafael H. Schloming', 0x40],
  )
  const authors = new AmqpArray('string', ['Rob J. Godfrey', 'Rafael H. Schloming'])
  assert.deepEqual(
    decode(drawn),
    new Described(new AmqpSymbol('example:book:list'), ['AMQP for & by Dummies', authors, null]),
  )
})

test('core part 1, 1.6: every primitive is written in its smallest encoding', () => {
  const cases: [unknown, number[]][] = [
    [null, [0x40]],
    [undefined, [0x40]],
    [true, [0x41]],
    [false, [0x42]],
    [0, [0x54, 0x00]],
    [-1, [0x54, 0xff]],
    [128, [0x71, 0, 0, 0, 0x80]],
    [-2_147_483_648, [0x71, 0x80, 0, 0, 0]],
    [1n, [0x55, 0x01]],
    [-129n, [0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]],
    [2n ** 64n - 1n, [0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]],
    [1.5, [0x82, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0]],
    [-0, [0x82, 0x80, 0, 0, 0, 0, 0, 0, 0]],
    [new Date(-1), [0x83, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]],
    [new Date(1_700_000_000_000), [0x83, 0x00, 0x00, 0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x00]],
    [Uint8Array.of(7), [0xa0, 0x01, 0x07]],
    ['é', [0xa1, 0x02, 0xc3, 0xa9]],
    [new AmqpSymbol('x'), [0xa3, 0x01, 0x78]],
    [[], [0xc0, 0x01, 0x00]],
    [new Map([['a', true]]), [0xc1, 0x05, 0x02, 0xa1, 0x01, 0x61, 0x41]],
    [new AmqpChar('€'), [0x73, 0, 0, 0x20, 0xac]],
    [new Typed('ubyte', 200), [0x50, 200]],
    [new Typed('short', -2), [0x61, 0xff, 0xfe]],
    [new Typed('float', 0.5), [0x72, 0x3f, 0, 0, 0]],
    [new AmqpArray('symbol', ['q']), [0xf0, 0, 0, 0, 10, 0, 0, 0, 1, 0xb3, 0, 0, 0, 1, 0x71]],
  ]
  for (const [value, expected] of cases) assert.deepEqual([...encode(value)], expected, String(value))
})

test('texts and binaries on both sides of every size of their length field', () => {
  for (const size of [0, 1, 23, 24, 31, 32, 84, 85, 86, 127, 128, 254, 255, 256, 257, 65_536]) {
    for (const unit of ['a', 'é', '水', '🚀']) {
      const text = unit.repeat(size)
      assert.equal(decode(encode(text)), text)
    }
    const binary = new Uint8Array(size).fill(size)
    assert.deepEqual(decode(encode(binary)), binary)
  }
})

test('compounds on both sides of the short form come back whole', () => {
  for (const size of [0, 1, 100, 126, 127, 128, 254, 255, 256, 1000]) {
    const list = Array.from({ length: size }, (_, i) => i % 100)
    assert.deepEqual(decode(encode(list)), list)
    const map = new Map(list.map((item, i) => [`k${i}`, item]))
    assert.deepEqual(decode(encode(map)), map)
    assert.deepEqual(decode(encode([list, list])), [list, list])
  }
})

const scalar = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.integer(),
  fc.double({ noNaN: true }),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
  fc.date({ noInvalidDate: true }),
  fc.string({ unit: 'binary' }),
  fc.uint8Array({ maxLength: 300 }).map((array) => new Uint8Array(array)),
  fc.string({ unit: 'binary-ascii' }).map((text) => new AmqpSymbol(text)),
  fc.uint8Array({ minLength: 16, maxLength: 16 }).map((array) => new Uuid(new Uint8Array(array))),
  fc.uint8Array({ minLength: 8, maxLength: 8 }).map((array) => new Decimal(new Uint8Array(array))),
)

const value = fc.letrec((tie) => ({
  any: fc.oneof({ maxDepth: 4, withCrossShrink: true }, scalar, tie('list'), tie('map'), tie('described')),
  list: fc.array(tie('any'), { maxLength: 12 }),
  map: fc
    .uniqueArray(fc.tuple(fc.string(), tie('any')), { selector: ([key]) => key, maxLength: 8 })
    .map((entries) => new Map(entries)),
  described: fc
    .tuple(fc.bigInt({ min: 2n ** 63n, max: 2n ** 64n - 1n }), tie('any'))
    .map(([d, v]) => new Described(d, v)),
})).any

test(`any value comes back as the type it was, and skip() ends where value() does (SEED=${seed})`, () => {
  fc.assert(
    fc.property(value, (original) => {
      const encoded = encode(original)
      assert.deepEqual(decode(encoded), original)
      const reader = new Reader(encoded)
      reader.skip()
      assert.equal(reader.at, encoded.length)
    }),
    { seed, numRuns: 300 },
  )
})

test('arrays of every type come back, described ones too', () => {
  const samples: Partial<Record<TypeName, unknown[]>> = {
    null: [null, null],
    boolean: [true, false],
    ubyte: [0, 255],
    ushort: [0, 65_535],
    uint: [0, 4_294_967_295],
    ulong: [0n, 2n ** 64n - 1n],
    byte: [-128, 127],
    short: [-32_768, 32_767],
    int: [-2_147_483_648, 2_147_483_647],
    long: [-(2n ** 63n), 2n ** 63n - 1n],
    float: [0.5, -2],
    double: [0.1, Number.MAX_VALUE],
    decimal32: [new Decimal(Uint8Array.of(1, 2, 3, 4))],
    char: [new AmqpChar('水')],
    timestamp: [new Date(0), new Date(1e12)],
    uuid: [Uuid.parse('00112233-4455-6677-8899-aabbccddeeff')],
    binary: [Uint8Array.of(), Uint8Array.of(1)],
    string: ['', 'x'],
    list: [[], [1, 'two']],
    map: [new Map([['k', 1]])],
    array: [new AmqpArray('int', [1, 2])],
  }
  for (const [type, items] of Object.entries(samples)) {
    const plain = new AmqpArray(type as TypeName, items)
    assert.deepEqual(decode(encode(plain)), plain)
    const described = new AmqpArray(type as TypeName, items, new AmqpSymbol('d'))
    assert.deepEqual(decode(encode(described)), described)
  }
})

function assertRefused(input: Uint8Array): void {
  for (const read of [(reader: Reader) => reader.value(), (reader: Reader) => reader.skip()]) {
    try {
      read(new Reader(input))
    } catch (error) {
      assert.ok(isMillraceError(error) && error.code === 'message-invalid', String(error))
    }
  }
}

test('what does not fit a type is refused when written', () => {
  const refused = [
    ...[new Typed('ubyte', 256), new Typed('uint', -1), new Typed('int', 0.5), new Typed('uuid', 'x')],
    ...[2n ** 64n, -(2n ** 63n) - 1n, () => 1, Symbol('s'), new Date(Number.NaN), new (class Custom {})()],
  ]
  for (const item of refused) assert.throws(() => encode(item), { code: 'message-invalid' })
})

test('bounded nesting: a value too deep is refused by writer and reader, without exhausting the stack', () => {
  let deep: unknown = 1
  for (let i = 0; i <= MAX_DEPTH; i++) deep = [deep]
  assert.throws(() => encode(deep), { code: 'message-invalid' })
  const nested = Buffer.alloc(100_000)
  assert.throws(() => new Reader(nested).value(), { code: 'message-invalid' })
  assert.throws(() => new Reader(nested).skip(), { code: 'message-invalid' })
  const lists = Buffer.alloc(90_000)
  for (let at = 0; at + 9 <= lists.length; at += 9) {
    lists[at] = 0xd0
    lists.writeUInt32BE(lists.length - at - 5, at + 1)
    lists.writeUInt32BE(1, at + 5)
  }
  assert.throws(() => new Reader(lists).value(), { code: 'message-invalid' })
})

test('bounded sizes: counts and lengths beyond the bytes at hand are refused before anything is allocated', () => {
  const claims = [
    bytes(0xd0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
    bytes(0xd0, 0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff),
    bytes(0xf0, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x40),
    bytes(0xf0, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x45),
    bytes(0xb0, 0x7f, 0xff, 0xff, 0xff, 1),
    bytes(0xc1, 2, 1, 0x40),
    bytes(0xc0, 3, 1, 0x40, 0x40),
  ]
  for (const claim of claims) assert.throws(() => new Reader(claim).value(), { code: 'message-invalid' })
})

test(`random and truncated bytes end in a value or in message-invalid, nothing else (SEED=${seed})`, () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (input) => assertRefused(input)),
    { seed, numRuns: 2000 },
  )
  fc.assert(
    fc.property(value, fc.double({ min: 0, max: 1, noNaN: true }), (original, share) => {
      const encoded = encode(original)
      assertRefused(encoded.subarray(0, Math.floor(encoded.length * share)))
    }),
    { seed, numRuns: 300 },
  )
})

test('core 1.6.20: a text that is no UTF-8 is refused, the replacement character itself is not', () => {
  const writer = new Writer()
  writer.value('\ufffd and \ufffd')
  assert.equal(new Reader(writer.slice()).value(), '\ufffd and \ufffd')
  for (const bytes of [
    [0xa1, 1, 0xff],
    [0xa1, 2, 0xc3, 0x28],
    [0xa1, 3, 0xed, 0xa0, 0x80],
    [0xa3, 2, 0x61, 0xe2],
    [0xa1, 30, ...Buffer.alloc(29, 0x61), 0xf8],
  ]) {
    assert.throws(() => new Reader(Uint8Array.from(bytes)).value(), { code: 'message-invalid' })
  }
})
