/** Transactions, of which rhea knows the frames' outlines and nothing else: what it lacks is said here byte by byte. */
import { once } from 'node:events'
import rhea, { type Connection, type Delivery, type EventContext, type Sender } from 'rhea'
import { assert, assertEqual, type Check, restartBroker, within } from './checks.ts'
import { connect, connected, fresh, Inbox, Outbox } from './client.ts'

const PATIENCE_MS = 10_000
const COORDINATOR = 0x30
const DECLARE = 0x31
const DISCHARGE = 0x32
const DECLARED = 0x33
const TRANSACTIONAL_STATE = 0x34
const ACCEPTED = 0x24
/** Position of the state among the fields of a transfer. */
const STATE = 7
const VALUE_SECTION = Buffer.from([0x00, 0x53, 0x77])

/** The parts of rhea that its declarations leave out. */
interface Types {
  wrap_described(value: unknown, descriptor: number): unknown
  wrap_binary(bytes: Buffer): unknown
  wrap_symbol(text: string): unknown
  wrap_array(items: unknown[], code: number): unknown
  Writer: new () => { write(value: unknown): void; toBuffer(): Buffer }
}
interface Session {
  output(frame: { readonly value: unknown[] }, payload?: Buffer): void
}
interface State {
  readonly descriptor?: { readonly value: unknown }
  readonly value?: readonly { readonly value: unknown }[]
  readonly error?: { readonly condition?: string }
}
const types = rhea.types as unknown as Types

function described(code: number, fields: unknown[]): unknown {
  return types.wrap_described(fields, code)
}

function posted(transaction: Buffer, outcome?: unknown): unknown {
  return described(TRANSACTIONAL_STATE, [types.wrap_binary(transaction), ...(outcome ? [outcome] : [])])
}

function codeOf(state: State | undefined): number {
  return Number(state?.descriptor?.value ?? 0)
}

/** A link to the coordinator. */
class Controller {
  private readonly link: Sender

  private constructor(link: Sender) {
    this.link = link
  }

  static async open(connection: Connection): Promise<Controller> {
    const link = connection.open_sender({ name: fresh('coordinator') } as never)
    const { attach } = (link as unknown as { local: { attach: Record<string, unknown> } }).local
    attach['target'] = described(COORDINATOR, [types.wrap_symbol('amqp:local-transactions')])
    await within(PATIENCE_MS, 'coordinator', once(link, 'sendable'))
    return new Controller(link)
  }

  private async say(code: number, fields: unknown[]): Promise<State> {
    const writer = new types.Writer()
    writer.write(described(code, fields))
    const bytes = Buffer.concat([VALUE_SECTION, writer.toBuffer()])
    const delivery = this.link.send(bytes, undefined, 0)
    return within(PATIENCE_MS, 'the coordinator', answerTo(this.link, delivery))
  }

  async declare(): Promise<Buffer> {
    const state = await this.say(DECLARE, [])
    assertEqual(codeOf(state), DECLARED, 'the answer to a declare')
    return state.value![0]!.value as Buffer
  }

  /** 'accepted', or the condition of the rejection. */
  async discharge(transaction: Buffer, fail: boolean): Promise<string> {
    const state = await this.say(DISCHARGE, [types.wrap_binary(transaction), fail])
    return state.error?.condition ?? (codeOf(state) === 0 ? 'accepted' : `state ${codeOf(state)}`)
  }
}

/** rhea raises an event of its own for the states that it knows, and none for the others. */
async function answerTo(link: Sender, delivery: Delivery): Promise<State> {
  const answered = new Promise<void>((resolve) => {
    link.on('settled', (context: EventContext) => {
      if (context.delivery === delivery) resolve()
    })
  })
  await answered
  return delivery.remote_state as unknown as State
}

/** Sends in the transaction; answers the code of the state that comes back. rhea gives transfers no state by itself. */
async function post({ link }: Outbox, body: unknown, transaction: Buffer): Promise<number> {
  const session = link.session as unknown as Session
  const { output } = session
  session.output = (frame, payload) => {
    if (payload) frame.value[STATE] = posted(transaction)
    output.call(session, frame, payload)
  }
  const delivery = link.send({ body })
  const state = await within(PATIENCE_MS, 'the answer to a post', answerTo(link, delivery))
  session.output = output
  return codeOf(state)
}

function retire(delivery: Delivery, transaction: Buffer): void {
  const { update } = delivery as unknown as { update: (settled: boolean, state: unknown) => void }
  update.call(delivery, true, posted(transaction, described(ACCEPTED, [])))
}

export const transactions: Readonly<Record<string, Check>> = {
  'transaction, committed': () =>
    connected(async (connection) => {
      const [input, output] = [fresh('tx-in'), fresh('tx-out')]
      await (await Outbox.open(connection, input)).mustAccept({ body: 'in' })
      const controller = await Controller.open(connection)
      const [inbox, outbox] = [await Inbox.open(connection, input), await Outbox.open(connection, output)]
      const transaction = await controller.declare()
      retire((await inbox.next()).delivery, transaction)
      await outbox.ready()
      assertEqual(await post(outbox, 'out', transaction), TRANSACTIONAL_STATE, 'the answer to a post')
      const results = await Inbox.open(connection, output)
      await results.mustBeEmpty('the output before the commit')
      assertEqual(await controller.discharge(transaction, false), 'accepted', 'the discharge')
      assertEqual((await results.accept(1))[0]!.body, 'out', 'the body')
      await inbox.mustBeEmpty('the input')
    }),

  'transaction, rolled back': () =>
    connected(async (connection) => {
      const [input, output] = [fresh('tx-back'), fresh('tx-gone')]
      await (await Outbox.open(connection, input)).mustAccept({ body: 1 }, { body: 2 })
      const controller = await Controller.open(connection)
      const [inbox, outbox] = [await Inbox.open(connection, input), await Outbox.open(connection, output)]
      const transaction = await controller.declare()
      retire((await inbox.next()).delivery, transaction)
      await outbox.ready()
      await post(outbox, 'never', transaction)
      assertEqual(await controller.discharge(transaction, true), 'accepted', 'the discharge')
      const [first, second] = await inbox.drain()
      assertEqual([first!.message.body, first!.message.delivery_count], [1, 1], 'what came again')
      assertEqual([second!.message.body, second!.message.delivery_count ?? 0], [2, 0], 'what came behind it')
      await (await Inbox.open(connection, output)).mustBeEmpty('the output')
    }),

  'transaction that is not there': () =>
    connected(async (connection) => {
      const controller = await Controller.open(connection)
      const transaction = await controller.declare()
      assertEqual(await controller.discharge(transaction, false), 'accepted', 'the first discharge')
      const unknown = 'amqp:transaction:unknown-id'
      assertEqual(await controller.discharge(transaction, false), unknown, 'the second discharge')
      assertEqual(await controller.discharge(Buffer.from('nonsense'), true), unknown, 'one of nonsense')
    }),

  'broker dies inside a transaction': () => diesInside(),
}

async function diesInside(): Promise<void> {
  const [input, output] = [fresh('tx-died'), fresh('tx-lost')]
  await connected(async (connection) => {
    await (await Outbox.open(connection, input)).mustAccept({ body: 'in', durable: true })
  })
  const doomed = await open(input, output)
  doomed.on('disconnected', () => {})
  await restartBroker()
  await connected(async (connection) => {
    const { message, delivery } = await (await Inbox.open(connection, input)).next()
    assertEqual(message.body, 'in', 'the body')
    delivery.accept()
    await (await Inbox.open(connection, output)).mustBeEmpty('the output')
  })
}

/** A connection that is inside a transaction. */
async function open(input: string, output: string): Promise<Connection> {
  const connection = await connect()
  const controller = await Controller.open(connection)
  const [inbox, outbox] = [await Inbox.open(connection, input), await Outbox.open(connection, output)]
  const transaction = await controller.declare()
  retire((await inbox.next()).delivery, transaction)
  await outbox.ready()
  assert((await post(outbox, 'lost', transaction)) === TRANSACTIONAL_STATE, 'the post was not taken')
  return connection
}
