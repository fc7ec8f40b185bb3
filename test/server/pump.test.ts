import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { suite, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { Pump, PumpStation } from '../../src/embedded/pump.ts'
import type { ConnectionEvents, HostedConnection } from '../../src/gateway/amqp10/host.ts'
import type { TakenOutput } from '../../src/wire/amqp10/peer/peer.ts'

/** A socket that says what is done with it, and takes writes when it is told to. */
class FakeSocket extends EventEmitter {
  readonly done: string[] = []
  destroyed = false
  /** The kernel takes at once what is written. */
  quick = false
  writableLength = 0
  private callback: ((error?: Error) => void) | undefined

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
  cork(): void {
    this.done.push('cork')
  }
  uncork(): void {
    this.done.push('uncork')
  }
  write(bytes: Uint8Array, callback?: (error?: Error) => void): void {
    if (bytes.length > 0) this.done.push(`write ${bytes.length}`)
    if (!this.quick) this.writableLength += bytes.length
    if (callback) this.callback = callback
  }
  /** The kernel has taken what was written. */
  taken(error?: Error): void {
    const { callback } = this
    this.writableLength = 0
    this.callback = undefined
    callback?.(error)
  }
}

/** A protocol that answers what the test puts there. */
class FakeConnection implements HostedConnection {
  readonly events: ConnectionEvents
  outputBytes = 0
  /** Into how many the next output is cut. */
  pieces = 1
  /** What becomes output when that is taken, as settlements that a turn gathers. */
  private gathered = 0
  private announced = false
  readable = true
  received = 0
  readonly recycled: number[] = []
  gone = 0
  ticks: number[] = []

  constructor(events: ConnectionEvents) {
    this.events = events
  }
  say(bytes: number): void {
    this.outputBytes += bytes
    this.announce()
  }
  gather(bytes: number): void {
    this.gathered += bytes
    this.announce()
  }
  private announce(): void {
    if (this.announced) return
    this.announced = true
    this.events.writable()
  }
  receive(bytes: Uint8Array): void {
    this.received += bytes.length
  }
  takeOutput(): TakenOutput | null {
    const length = this.outputBytes + this.gathered
    this.outputBytes = this.gathered = 0
    this.announced = false
    const { pieces } = this
    this.pieces = 1
    const cut = Array.from({ length: pieces }, () => new Uint8Array(length / pieces))
    return length > 0 ? { length, pieces: cut, blocks: [] } : null
  }
  written(output: TakenOutput): void {
    this.recycled.push(output.length)
  }
  tick(now: number): number {
    this.ticks.push(now)
    return now + 60_000
  }
  close(): void {}
  cut(): void {
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
      hurried: () => seen.push('hurried'),
      authenticated: (user) => seen.push(`user ${user}`),
      ended: ({ by }) => seen.push(`ended ${by}`),
      faulted: () => seen.push('faulted'),
      closed: () => seen.push('closed'),
    },
  })
  pump.tick(299)
  assert.equal(connection, undefined, 'nothing is made for who says nothing')
  socket.emit('data', FIRST)
  assert.deepEqual(seen.splice(0), ['hurried'], 'a connection has deadlines of its own')
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

  test('asks when a write is done only where it was not at once', async () => {
    const { socket, connection } = pumped()
    socket.quick = true
    const write = async (bytes: number): Promise<void> => {
      connection.say(bytes)
      await turn()
    }
    await write(1)
    await write(2)
    assert.deepEqual(connection.recycled, [1, 2])
    socket.quick = false
    await write(3)
    assert.deepEqual(connection.recycled, [1, 2])
    socket.taken()
    socket.quick = true
    await write(4)
    assert.deepEqual(connection.recycled, [1, 2, 3], 'as slow as the last')
    socket.taken()
    await write(5)
    assert.deepEqual(connection.recycled, [1, 2, 3, 4, 5])
    assert.deepEqual(socket.done, ['write 1', 'write 2', 'write 3', 'write 4', 'write 5'])
  })

  test('reads again from who has not read and now takes all at once', async () => {
    const { socket, connection } = pumped()
    socket.quick = true
    connection.say(2 * 1024 * 1024)
    socket.emit('data', Buffer.from('x'))
    await turn()
    assert.deepEqual(socket.done, ['pause', 'write 2097152', 'resume'])
  })

  test('writes what was announced while a write was under way, also when there is no output of it yet', async () => {
    const { socket, connection } = pumped()
    connection.say(10)
    await turn()
    connection.gather(7)
    await turn()
    assert.deepEqual(socket.done, ['write 10'])
    socket.taken()
    // It has been announced, and is not announced again.
    connection.say(1)
    await turn()
    assert.deepEqual(socket.done, ['write 10', 'write 8'])
  })

  test('gives back what it has written, when that is taken and not when it failed', async () => {
    const { socket, connection } = pumped()
    connection.say(10)
    await turn()
    assert.deepEqual(connection.recycled, [])
    socket.taken()
    assert.deepEqual(connection.recycled, [10])
    connection.say(20)
    await turn()
    socket.taken(new Error('gone'))
    assert.deepEqual(connection.recycled, [10])
  })

  test('lets go of what it has read, unless others have parts of the memory', () => {
    const { socket, connection } = pumped()
    const own = Buffer.allocUnsafeSlow(100)
    socket.emit('data', own)
    assert.equal(own.length, 0)
    const shared = Buffer.alloc(100, 1).subarray(0, 50)
    socket.emit('data', shared)
    assert.equal(shared.length, 50)
    assert.equal(connection.received, FIRST.length + 150)
  })

  test('writes what has several pieces in one go, and has written it with the last', async () => {
    const { socket, connection } = pumped()
    connection.pieces = 3
    connection.say(30)
    await turn()
    assert.deepEqual(socket.done, ['cork', 'write 10', 'write 10', 'write 10', 'uncork'])
    socket.taken()
    assert.deepEqual(connection.recycled, [30])
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

  test('keeps time, and asks again within ten seconds whatever the answer was', () => {
    const { connection, pump } = pumped()
    for (const now of [0, 2_500, 9_999, 10_000, 12_500, 20_000]) pump.tick(now)
    assert.deepEqual(connection.ticks, [0, 10_000, 20_000])
  })

  test('asks again at once when the connection hurries it, and says so: an open brings deadlines with it', () => {
    const { socket, connection, pump, seen } = pumped()
    assert.equal(pump.tick(0), 10_000)
    socket.emit('data', Buffer.from('more'))
    assert.equal(pump.tick(200), 10_000)
    connection.events.hurried?.()
    assert.deepEqual(seen, ['hurried'])
    assert.equal(pump.tick(250), 10_250)
    assert.equal(pump.tick(500), 10_250)
    assert.deepEqual(connection.ticks, [0, 250])
    socket.emit('close')
    assert.equal(pump.tick(20_000), Number.POSITIVE_INFINITY)
  })
})
