import assert from 'node:assert/strict'
import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto'
import { suite, test } from 'node:test'
import { promisify } from 'node:util'
import type { Crypto } from '../../src/wire/amqp10/sasl/crypto.ts'
import { encodePlain, parsePlain } from '../../src/wire/amqp10/sasl/plain.ts'
import type { SaslClient, SaslServer, SaslStep } from '../../src/wire/amqp10/sasl/sasl.ts'
import { SCRAM_SHA_256, ScramClient, type ScramKeys, ScramServer } from '../../src/wire/amqp10/sasl/scram.ts'
import { Pair, Recorder } from './pair.ts'
import { amqpHeader, frame, frameOf, parse, performative, saslHeader, symbol } from './raw.ts'

const derive = promisify(pbkdf2)

const crypto: Crypto = {
  sha256: (data) => createHash('sha256').update(data).digest(),
  hmacSha256: (key, data) => createHmac('sha256', key).update(data).digest(),
  pbkdf2Sha256: (password, salt, iterations) => derive(password, salt, iterations, 32, 'sha256'),
  randomBytes,
  timingSafeEqual,
}

async function keysOf(password: string, iterations = 4096): Promise<ScramKeys> {
  const salt = randomBytes(16)
  const salted = await crypto.pbkdf2Sha256(Buffer.from(password), salt, iterations)
  return {
    iterations,
    salt,
    storedKey: crypto.sha256(crypto.hmacSha256(salted, Buffer.from('Client Key'))),
    serverKey: crypto.hmacSha256(salted, Buffer.from('Server Key')),
  }
}

/** Knows ada, whose password is lovelace. */
class Server implements SaslServer {
  readonly offered: string[]
  hostname: string | undefined
  private scram: ScramServer | undefined

  constructor(...offered: string[]) {
    this.offered = offered
  }

  mechanisms(): string[] {
    return this.offered
  }

  start(mechanism: string, initial: Uint8Array, hostname: string): SaslStep | Promise<SaslStep> {
    this.hostname = hostname
    if (!this.offered.includes(mechanism)) return { kind: 'failed', code: 1 }
    if (mechanism === 'ANONYMOUS') return { kind: 'done', identity: '' }
    if (mechanism === 'PLAIN') {
      const { user, password } = parsePlain(initial) ?? {}
      const right = user === 'ada' && password === 'lovelace'
      return Promise.resolve(right ? { kind: 'done', identity: user } : { kind: 'failed', code: 1 })
    }
    this.scram = new ScramServer(crypto, (user) =>
      keysOf(user === 'ada' ? 'lovelace' : String(Math.random())),
    )
    return this.scram.start(initial)
  }

  next(response: Uint8Array): SaslStep | Promise<SaslStep> {
    return this.scram!.next(response)
  }
}

class Client implements SaslClient {
  private readonly mechanism: string
  private readonly user: string
  private readonly password: string
  private readonly scram: ScramClient

  constructor(mechanism: string, user = 'ada', password = 'lovelace') {
    this.mechanism = mechanism
    this.user = user
    this.password = password
    this.scram = new ScramClient(crypto, user, password)
  }

  choose(mechanisms: readonly string[]): { mechanism: string; initial: Uint8Array | null } | null {
    if (!mechanisms.includes(this.mechanism)) return null
    const { mechanism } = this
    if (mechanism === 'ANONYMOUS') return { mechanism, initial: null }
    if (mechanism === 'PLAIN') return { mechanism, initial: encodePlain(this.user, this.password) }
    return { mechanism, initial: this.scram.initial() }
  }

  next(challenge: Uint8Array): Uint8Array | Promise<Uint8Array> {
    return this.scram.next(challenge)
  }

  finish(data: Uint8Array | null): void {
    if (this.mechanism === SCRAM_SHA_256) this.scram.finish(data)
  }
}

/** Opens a pair, waiting for what the mechanisms compute. */
async function meet(
  client: SaslClient | undefined,
  server: SaslServer | undefined,
  saslOptional = false,
): Promise<Pair> {
  const pair = new Pair({ sasl: client }, { sasl: server, saslOptional })
  pair.open()
  while (!pair.client.remote && !pair.client.by && !pair.server.by) {
    await new Promise((resolve) => setImmediate(resolve))
    pair.pump()
  }
  return pair.pump()
}

suite('core 5.3, SASL', () => {
  for (const mechanism of ['ANONYMOUS', 'PLAIN', SCRAM_SHA_256]) {
    test(`${mechanism}: authenticated, opened, and the host name told`, async () => {
      const server = new Server('X', mechanism, 'Y')
      const pair = await meet(new Client(mechanism), server)
      assert.equal(pair.server.identity, mechanism === 'ANONYMOUS' ? '' : 'ada')
      assert.equal(pair.client.remote?.containerId, 'server')
      assert.equal(pair.server.remote?.containerId, 'client')
      assert.equal(server.hostname, 'host')
      const [sender, receiver] = pair.sending(1)
      sender.send('x')
      pair.pump()
      assert.deepEqual(receiver.deliveries, ['x'])
    })
  }

  for (const [mechanism, user, password] of [
    ['PLAIN', 'ada', 'wrong'],
    ['PLAIN', 'nobody', 'lovelace'],
    [SCRAM_SHA_256, 'ada', 'wrong'],
    [SCRAM_SHA_256, 'nobody', 'lovelace'],
  ] as const) {
    test(`${mechanism} of ${user} with ${password}: refused, in the protocol’s words, at both ends`, async () => {
      const pair = await meet(new Client(mechanism, user, password), new Server(mechanism))
      assert.deepEqual(pair.server.log, ['closed authentication amqp:unauthorized-access'])
      assert.deepEqual(pair.client.log, ['closed authentication amqp:unauthorized-access'])
      assert.equal(pair.client.error?.info?.get('sasl-code'), 1)
      assert.equal(pair.server.identity, undefined)
      assert.equal(pair.server.remote, undefined)
    })
  }

  test('a client that finds no mechanism that will do says which there were', async () => {
    const pair = await meet(new Client('PLAIN'), new Server('ANONYMOUS', 'X'))
    assert.equal(pair.client.by, 'authentication')
    assert.match(pair.client.error!.description!, /ANONYMOUS, X/)
  })

  test('a server that wants SASL answers the AMQP header with its own, unless it is optional', async () => {
    const pair = await meet(undefined, new Server('PLAIN'))
    assert.equal(pair.server.by, 'protocol-header')
    assert.equal(pair.client.by, 'protocol-header')
    assert.deepEqual(Buffer.from(pair.client.header!), saslHeader)
    const optional = await meet(undefined, new Server('PLAIN'), true)
    assert.equal(optional.server.identity, '')
    assert.equal(optional.client.remote?.containerId, 'server')
  })

  test('a client may send all it has to say at once', async () => {
    const recorder = new Recorder({ role: 'server', sasl: new Server('PLAIN') })
    const init = frameOf(performative(0x41, [symbol('PLAIN'), Buffer.from('\0ada\0lovelace')]), 0, 1)
    const long = frame(0, 0x10, ['raw', 'h'.repeat(2000)])
    recorder.peer.receive(Buffer.concat([saslHeader, init, amqpHeader, long]))
    assert.equal(recorder.identity, undefined, 'the mechanism is still computing')
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(recorder.identity, 'ada')
    assert.equal(recorder.remote?.containerId, 'raw')
  })

  test('what comes while a mechanism computes is bounded', () => {
    const recorder = new Recorder({ role: 'server', sasl: new Server('PLAIN') })
    const init = frameOf(performative(0x41, [symbol('PLAIN'), Buffer.from('\0ada\0lovelace')]), 0, 1)
    recorder.peer.receive(Buffer.concat([saslHeader, init]))
    recorder.peer.receive(Buffer.alloc(65_536))
    assert.equal(recorder.by, undefined)
    recorder.peer.receive(Buffer.alloc(10))
    assert.equal(recorder.by, 'violation')
  })

  test('an answer that comes after the end changes nothing', async () => {
    const recorder = new Recorder({ role: 'server', sasl: new Server('PLAIN') })
    const init = frameOf(performative(0x41, [symbol('PLAIN'), Buffer.from('\0ada\0lovelace')]), 0, 1)
    recorder.peer.receive(Buffer.concat([saslHeader, init]))
    recorder.peer.close()
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(recorder.log, ['closed local'])
    assert.equal(recorder.identity, undefined)
  })

  test('a mechanism that breaks is a failure of the system (5.3.3.6, code 2)', () => {
    const broken: SaslServer = {
      mechanisms: () => ['X'],
      start: () => {
        throw new Error('no table')
      },
      next: () => ({ kind: 'failed', code: 1 }),
    }
    const recorder = new Recorder({ role: 'server', sasl: broken })
    recorder.peer.receive(Buffer.concat([saslHeader, frameOf(performative(0x41, [symbol('X')]), 0, 1)]))
    assert.equal(recorder.by, 'authentication')
    assert.equal(parse(recorder.peer.takeOutput()).at(-1)?.fields[0], 2)
  })

  const init = performative(0x41, [symbol('PLAIN')])
  const wrong: [what: string, body: Buffer, type: number, condition: string][] = [
    ['an AMQP frame', init, 0, 'amqp:connection:framing-error'],
    ['an empty frame', Buffer.alloc(0), 1, 'amqp:decode-error'],
    ['a frame above 512 bytes', Buffer.alloc(600), 1, 'amqp:connection:framing-error'],
    ['a response before init', performative(0x43, [Buffer.alloc(1)]), 1, 'amqp:illegal-state'],
    ['an outcome from the client', performative(0x44, [0]), 1, 'amqp:illegal-state'],
    ['init without mechanism', performative(0x41, []), 1, 'amqp:invalid-field'],
    ['init with a string as response', performative(0x41, [symbol('X'), 'y']), 1, 'amqp:invalid-field'],
    ['nothing that can be decoded', Buffer.from([0, 0x53, 0x41, 0xc0, 50, 1]), 1, 'amqp:decode-error'],
  ]
  for (const [what, body, type, condition] of wrong) {
    test(`${what}: over, with ${condition}`, () => {
      const recorder = new Recorder({ role: 'server', sasl: new Server('PLAIN') })
      recorder.peer.receive(Buffer.concat([saslHeader, frameOf(body, 0, type)]))
      assert.equal(recorder.by, 'violation')
      assert.equal(recorder.error?.condition, condition)
    })
  }
})

suite('RFC 5802 and 7677, SCRAM-SHA-256', () => {
  test('the exchange of RFC 7677 §3, byte by byte', async () => {
    const nonces = ['rOprNGfwEbeRWgbNEkqO', '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0']
    const salt = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64')
    const known: Crypto = {
      ...crypto,
      // The nonces of the example, which are no base64, are put in below.
      randomBytes: () => Buffer.alloc(18),
    }
    const zero = Buffer.alloc(18).toString('base64')
    const client = new ScramClient(known, 'user', 'pencil')
    const swap = (text: string, back: boolean) => {
      const both = nonces.join('')
      return back
        ? text.replace(both, zero + zero)
        : text.replace(zero + zero, both).replace(zero, nonces[0]!)
    }
    assert.equal(swap(String(client.initial()), false), 'n,,n=user,r=rOprNGfwEbeRWgbNEkqO')
    const challenge = `r=${nonces.join('')},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`
    const final = String(await client.next(Buffer.from(swap(challenge, true))))
    assert.match(swap(final, false), /^c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj\)hNlF\$k0,p=/)
    // The proof of the example, over the example's own nonces.
    const salted = await crypto.pbkdf2Sha256(Buffer.from('pencil'), salt, 4096)
    const clientKey = Buffer.from(crypto.hmacSha256(salted, Buffer.from('Client Key')))
    const exchange = `n=user,r=${nonces[0]},${challenge},c=biws,r=${nonces.join('')}`
    const signature = crypto.hmacSha256(crypto.sha256(clientKey), Buffer.from(exchange))
    const proof = Buffer.from(clientKey.map((byte, i) => byte ^ signature[i]!))
    assert.equal(proof.toString('base64'), 'dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=')
  })

  const dialogue = async (
    keys: ScramKeys,
    change: (message: string, step: number) => string,
  ): Promise<SaslStep> => {
    const client = new ScramClient(crypto, 'a=b,c', 'sécret')
    const server = new ScramServer(crypto, () => keys)
    const say = (message: Uint8Array | string, step: number) =>
      Buffer.from(change(String(Buffer.from(message)), step))
    const first = await server.start(say(client.initial(), 0))
    if (first.kind !== 'challenge') return first
    const second = await server.next(say(await client.next(say(first.bytes, 1)), 2))
    if (second.kind !== 'challenge') return second
    client.finish(say(second.bytes, 3))
    assert.equal(server.claimed, 'a=b,c')
    return server.next(Buffer.alloc(0))
  }

  test('names are escaped, passwords are of any script', async () => {
    const keys = await keysOf('sécret'.normalize('NFKC'))
    assert.deepEqual(await dialogue(keys, (message) => message), { kind: 'done', identity: 'a=b,c' })
  })

  const attacks: [what: string, step: number, change: (message: string) => string][] = [
    ['channel binding that is not offered', 0, (m) => m.replace('n,,', 'p=tls-unique,,')],
    ['acting as somebody else', 0, (m) => m.replace('n,,', 'n,a=root,')],
    ['another nonce than the server’s', 2, (m) => m.replace(/r=[^,]*/, 'r=other')],
    ['a binding that was not said', 2, (m) => m.replace('c=biws', 'c=eSws')],
    ['a proof cut short', 2, (m) => m.replace(/p=.*/, 'p=AAAA')],
    ['no proof', 2, (m) => m.replace(/,p=.*/, '')],
    ['a proof of something else', 2, (m) => m.replace(/p=./, (p) => (p === 'p=A' ? 'p=B' : 'p=A'))],
    ['nonsense', 0, () => 'x'],
  ]
  for (const [what, at, change] of attacks) {
    test(`server: ${what} fails`, async () => {
      const keys = await keysOf('sécret')
      const outcome = await dialogue(keys, (message, step) => (step === at ? change(message) : message))
      assert.deepEqual(outcome, { kind: 'failed', code: 1 })
    })
  }

  const frauds: [what: string, step: number, change: (message: string) => string][] = [
    ['a nonce that is not ours', 1, (m) => m.replace('r=', 'r=x')],
    ['our nonce and nothing more', 1, (m) => m.replace(/r=(.{24})[^,]*/, 'r=$1')],
    ['too few iterations', 1, (m) => m.replace(/i=.*/, 'i=1')],
    ['iterations for hours', 1, (m) => m.replace(/i=.*/, 'i=4000000000')],
    [
      'a signature of somebody who does not know the password',
      3,
      () => `v=${randomBytes(32).toString('base64')}`,
    ],
    ['no signature', 3, () => 'e=other-error'],
  ]
  for (const [what, at, change] of frauds) {
    test(`client: ${what} is refused`, async () => {
      const keys = await keysOf('sécret')
      await assert.rejects(dialogue(keys, (message, step) => (step === at ? change(message) : message)))
    })
  }

  test('a server that says yes without having proven itself is not believed', async () => {
    const liar: SaslServer = {
      mechanisms: () => [SCRAM_SHA_256],
      start: () => ({ kind: 'done', identity: 'ada' }),
      next: () => ({ kind: 'done', identity: 'ada' }),
    }
    const pair = await meet(new Client(SCRAM_SHA_256), liar)
    assert.equal(pair.client.by, 'authentication')
    assert.equal(pair.client.identity, undefined)
  })

  test('the server’s last message may come with the outcome', async () => {
    const inner = new Server(SCRAM_SHA_256)
    let scram: ScramServer
    const folding: SaslServer = {
      mechanisms: () => [SCRAM_SHA_256],
      start(_, initial) {
        scram = new ScramServer(crypto, () => keysOf('lovelace'))
        return scram.start(initial)
      },
      async next(response) {
        const step = await scram.next(response)
        return step.kind === 'challenge' ? { kind: 'done', identity: 'ada', bytes: step.bytes } : step
      },
    }
    assert.deepEqual(inner.mechanisms(), folding.mechanisms())
    const pair = await meet(new Client(SCRAM_SHA_256), folding)
    assert.equal(pair.server.identity, 'ada')
    assert.equal(pair.client.remote?.containerId, 'server')
  })
})

test('RFC 4616, PLAIN: what is malformed, or asks to act as somebody else, is nobody', () => {
  const parsed = (text: string) => parsePlain(Buffer.from(text))
  assert.deepEqual(parsed('\0ada\0pass'), { user: 'ada', password: 'pass' })
  assert.deepEqual(parsed('ada\0ada\0'), { user: 'ada', password: '' })
  for (const text of ['', 'ada', '\0ada', '\0\0pass', 'root\0ada\0pass', '\0ada\0pa\0ss'])
    assert.equal(parsed(text), undefined, JSON.stringify(text))
})
