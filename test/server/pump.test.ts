import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { suite, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { Pump, PumpStation } from '../../src/embedded/pump.ts'
import type { ConnectionEvents, HostedConnection } from '../../src/gateway/amqp10/host.ts'

/** A socket that says what is done with it, and takes writes when it is told to. */
class FakeSocket extends EventEmitter {
  readonly done: string[] = []
  destroyed = false
  private callback: (() => void) | undefined

  setNoDelay(): void {}
  pause(): void {
    this.done.push('pause')
  }
  resume(): void {
    this.done.push('resume')
  }
  end(): void {
    this.done.push('end')
  }
  destroy(): void {
    this.done.push('destroy')
    this.destroyed = true
    this.emit('close')
  }
  write(bytes: Uint8Array, callback: () => void): void {
    this.done.push(`write ${bytes.length}`)
    this.callback = callback
  }
  /** The kernel has taken what was written. */
  taken(): void {
    this.callback?.()
  }
}

/** A protocol that answers what the test puts there. */
class FakeConnection implements HostedConnection {
  readonly events: ConnectionEvents
  outputBytes = 0
  readable = true
  received = 0
  gone = 0
  ticks: number[] = []

  constructor(events: ConnectionEvents) {
    this.events = events
  }
  say(bytes: number): void {
    const waiting = this.outputBytes > 0
    this.outputBytes += bytes
    if (!waiting) this.events.writable()
  }
  receive(bytes: Uint8Array): void {
    this.received += bytes.length
  }
  takeOutput(): Uint8Array | null {
    const bytes = this.outputBytes > 0 ? new Uint8Array(this.outputBytes) : null
    this.outputBytes = 0
    return bytes
  }
  tick(now: number): number {
    this.ticks.push(now)
    return now + 60_000
  }
  close(): void {}
  closed(): void {
    this.gone++
  }
}

interface Pumped {
  readonly socket: FakeSocket
  readonly connection: FakeConnection
  readonly pump: Pump
  readonly seen: string[]
}

const FIRST = Buffer.from('first')

/** A pump whose client has begun to speak. */
function pumped(): Pumped {
  const socket = new FakeSocket()
  const seen: string[] = []
  let connection: FakeConnection | undefined
  const pump = new Pump(socket as unknown as Socket, new PumpStation(), {
    now: 0,
    patience: 300,
    connect: (events) => {
      connection = new FakeConnection(events)
      return connection
    },
    events: {
      authenticated: (user) => seen.push(`user ${user}`),
      ended: ({ by }) => seen.push(`ended ${by}`),
      faulted: () => seen.push('faulted'),
      closed: () => seen.push('closed'),
    },
  })
  pump.tick(299)
  assert.equal(connection, undefined, 'nothing is made for who says nothing')
  socket.emit('data', FIRST)
  return { socket, connection: connection!, pump, seen }
}

suite('the pump', () => {
  test('writes once a turn, and nothing more until that is taken', async () => {
    const { socket, connection } = pumped()
    connection.say(10)
    connection.say(20)
    assert.deepEqual(socket.done, [])
    await turn()
    assert.deepEqual(socket.done, ['write 30'])
    connection.say(5)
    await turn()
    connection.say(6)
    await turn()
    assert.deepEqual(socket.done, ['write 30'])
    assert.equal(connection.outputBytes, 11, 'the connection sees what waits')
    socket.taken()
    await turn()
    assert.deepEqual(socket.done, ['write 30', 'write 11'])
  })

  test('does not read from who does not read', async () => {
    const { socket, connection } = pumped()
    connection.say(1)
    await turn()
    connection.say(2 * 1024 * 1024)
    socket.emit('data', Buffer.from('x'))
    socket.emit('data', Buffer.from('x'))
    assert.deepEqual(socket.done, ['write 1', 'pause'])
    socket.taken()
    await turn()
    socket.taken()
    assert.deepEqual(socket.done, ['write 1', 'pause', 'write 2097152', 'resume'])
  })

  test('does not read while the broker has too much undecided', () => {
    const { socket, connection } = pumped()
    connection.readable = false
    socket.emit('data', Buffer.from('x'))
    connection.readable = true
    connection.events.resumed()
    assert.deepEqual(socket.done, ['pause', 'resume'])
  })

  test('writes the last words, also those behind a slow write, and ends', async () => {
    const { socket, connection, seen } = pumped()
    connection.say(1)
    await turn()
    connection.say(2)
    connection.events.ended({ by: 'violation', error: undefined, header: undefined })
    socket.emit('data', Buffer.from('more'))
    await turn()
    assert.deepEqual(socket.done, ['write 1'])
    socket.taken()
    await turn()
    assert.deepEqual(socket.done, ['write 1', 'write 2', 'end'])
    assert.equal(connection.received, FIRST.length, 'what comes after the end is dropped')
    socket.emit('close')
    assert.deepEqual(seen, ['ended violation', 'closed'])
    assert.equal(connection.gone, 0, 'it knows already')
  })

  test('a transport that does not close is destroyed, but not at once', () => {
    const { socket, connection, pump } = pumped()
    connection.events.ended({ by: 'peer', error: undefined, header: undefined })
    pump.tick(performance.now())
    assert.deepEqual(socket.done, [])
    pump.tick(performance.now() + 6_000)
    assert.deepEqual(socket.done, ['destroy'])
  })

  test('who says nothing in time is cut off, and so is who has said nothing at the end', () => {
    for (const cut of [(pump: Pump) => pump.tick(300), (pump: Pump) => pump.hold(true)]) {
      const socket = new FakeSocket()
      const events = { authenticated: () => {}, ended: () => {}, faulted: () => {}, closed: () => {} }
      const connect = () => assert.fail()
      cut(
        new Pump(socket as unknown as Socket, new PumpStation(), { now: 0, patience: 300, connect, events }),
      )
      assert.deepEqual(socket.done, ['destroy'])
    }
  })

  test('while it is held, nothing is read', () => {
    const { socket, pump } = pumped()
    pump.hold(true)
    socket.emit('data', Buffer.from('on its way'))
    pump.hold(false)
    assert.deepEqual(socket.done, ['pause', 'resume'])
  })

  test('tells the connection when the transport is gone, once', () => {
    const { socket, connection, seen } = pumped()
    socket.emit('error', new Error('reset'))
    socket.emit('close')
    assert.deepEqual([connection.gone, seen], [1, ['closed']])
  })

  test('keeps time, and asks again within a second whatever the answer was', () => {
    const { connection, pump } = pumped()
    for (const now of [0, 250, 999, 1_000, 1_250, 2_000]) pump.tick(now)
    assert.deepEqual(connection.ticks, [0, 1_000, 2_000])
  })

  test('asks again as soon as something was read: an open brings deadlines with it', () => {
    const { socket, connection, pump } = pumped()
    pump.tick(0)
    socket.emit('data', Buffer.from('open'))
    for (const now of [250, 500]) pump.tick(now)
    assert.deepEqual(connection.ticks, [0, 250])
  })
})
