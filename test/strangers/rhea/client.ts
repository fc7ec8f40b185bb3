/** rhea's callbacks as promises: just enough to tell a check in the order in which things happen. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import rhea, {
  type Connection,
  type ConnectionOptions,
  type Delivery,
  type EventContext,
  type link,
  type Message,
  type Receiver,
  type ReceiverOptions,
  type Sender,
  type SenderOptions,
} from 'rhea'
import { assert, within } from './checks.ts'

const PATIENCE_MS = 10_000
const run = Date.now().toString(36)

function variable(name: string): string {
  const value = process.env[name]
  assert(value !== undefined && value !== '', `the environment variable ${name} is missing`)
  return value
}

interface BrokerAddress {
  readonly host: string
  readonly port: number
  readonly tlsPort: number
  readonly ca: string
  readonly user: string
  readonly password: string
  readonly limitedUser: string
  readonly limitedPassword: string
}

export const broker: BrokerAddress = {
  host: variable('BROKER_HOST'),
  port: Number(variable('BROKER_PORT')),
  tlsPort: Number(variable('BROKER_TLS_PORT')),
  ca: readFileSync(variable('BROKER_CA'), 'utf8'),
  user: variable('BROKER_USER'),
  password: variable('BROKER_PASSWORD'),
  limitedUser: variable('BROKER_LIMITED_USER'),
  limitedPassword: variable('BROKER_LIMITED_PASSWORD'),
}

/** A name that no earlier run has left anything under. */
export function fresh(name: string): string {
  return `strangers.rhea.${name}.${run}`
}

export async function connect(options: Partial<ConnectionOptions> = {}): Promise<Connection> {
  const container = rhea.create_container()
  // A frame that it cannot read ends up here; the check misses what it carried.
  container.on('error', (error: Error) => process.stderr.write(`${error.stack}\n`))
  const connection = container.connect({
    host: broker.host,
    port: broker.port,
    username: broker.user,
    password: broker.password,
    reconnect: false,
    ...options,
  } as ConnectionOptions)
  const refused = new Promise<never>((_, reject) => {
    const refuse = ({ connection: { error }, ...context }: EventContext): void => {
      const cause = (context.error ?? error) as { condition?: string; description?: string; message?: string }
      reject(new Error(`${cause?.condition} ${cause?.description ?? cause?.message}`))
    }
    connection.on('connection_error', refuse)
    connection.on('disconnected', refuse)
  })
  refused.catch(() => {})
  await within(PATIENCE_MS, 'open', Promise.race([once(connection, 'connection_open'), refused]))
  return connection
}

/** Runs with a connection of its own, and closes it. */
export async function connected<T>(
  use: (connection: Connection) => Promise<T>,
  options?: Partial<ConnectionOptions>,
): Promise<T> {
  const connection = await connect(options)
  try {
    return await use(connection)
  } finally {
    connection.close()
    if (connection.is_remote_open()) await within(PATIENCE_MS, 'close', once(connection, 'connection_close'))
  }
}

/** A refused attach is an open without terminus, followed by a detach with the error. */
async function attached<L extends link>(
  kind: 'sender' | 'receiver',
  link: L,
  given: () => unknown,
): Promise<L> {
  const refused = new Promise<never>((_, reject) => {
    link.on(`${kind}_error`, () => {
      const { condition, description } = link.error as { condition?: string; description?: string }
      reject(new Error(`${condition} ${description}`))
    })
  })
  refused.catch(() => {})
  await within(PATIENCE_MS, 'attach', Promise.race([once(link, `${kind}_open`), refused]))
  if (!given()) await within(PATIENCE_MS, 'the reason for the refused attach', refused)
  return link
}

export async function detached(link: link, kind: 'sender' | 'receiver', closed: boolean): Promise<void> {
  if (closed) link.close()
  else link.detach()
  await within(PATIENCE_MS, 'detach', once(link, `${kind}_close`))
}

export type Outcome = 'accepted' | 'released' | 'rejected' | 'modified'
const outcomes: readonly Outcome[] = ['accepted', 'released', 'rejected', 'modified']

/** A sending link whose sends answer the outcome. */
export class Outbox {
  readonly link: Sender
  private readonly waiting = new Map<Delivery, (outcome: string) => void>()

  constructor(link: Sender) {
    this.link = link
    for (const outcome of outcomes)
      link.on(outcome, ({ delivery }: EventContext) => {
        const error = (delivery!.remote_state as { error?: { condition?: string } } | undefined)?.error
        this.waiting.get(delivery!)?.(error?.condition ? `${outcome} ${error.condition}` : outcome)
        this.waiting.delete(delivery!)
      })
  }

  static async open(connection: Connection, options: string | SenderOptions): Promise<Outbox> {
    const sender = connection.open_sender(options as SenderOptions)
    return new Outbox(await attached('sender', sender, () => sender.target))
  }

  async ready(): Promise<void> {
    while (!this.link.sendable()) await within(PATIENCE_MS, 'credit', once(this.link, 'sendable'))
  }

  /** Needs credit. */
  start(message: Message): Promise<string> {
    const delivery = this.link.send(message)
    return new Promise((resolve) => this.waiting.set(delivery, resolve))
  }

  /** The outcome, with the condition of a rejection. */
  async send(message: Message): Promise<string> {
    await this.ready()
    return within(PATIENCE_MS, 'outcome', this.start(message))
  }

  async mustAccept(...messages: Message[]): Promise<void> {
    for (const message of messages) {
      const outcome = await this.send(message)
      assert(outcome === 'accepted', `the outcome is ${outcome}, not accepted`)
    }
  }

  close(): Promise<void> {
    return detached(this.link, 'sender', true)
  }
}

export interface Arrival {
  readonly message: Message
  readonly delivery: Delivery
}

/** A receiving link that is asked for messages one by one, unless it is given a credit window. */
export class Inbox {
  readonly link: Receiver
  private readonly arrived: Arrival[] = []
  private wake: (() => void) | undefined

  constructor(link: Receiver) {
    this.link = link
    link.on('message', ({ message, delivery }: EventContext) => {
      this.arrived.push({ message: message!, delivery: delivery! })
      this.wake?.()
    })
  }

  static async open(connection: Connection, options: string | ReceiverOptions): Promise<Inbox> {
    const given = typeof options === 'string' ? { source: options } : options
    const receiver = connection.open_receiver({ credit_window: 0, autoaccept: false, ...given })
    const inbox = new Inbox(receiver)
    await attached('receiver', receiver, () => receiver.source)
    return inbox
  }

  get credit(): number {
    // rhea's declarations leave it out.
    return (this.link as unknown as { readonly credit: number }).credit
  }

  get address(): string {
    return this.link.source.address
  }

  /** What comes within the patience; asks for it unless a window does. */
  async next(milliseconds: number = PATIENCE_MS): Promise<Arrival> {
    if (this.arrived.length === 0 && this.credit === 0) this.link.add_credit(1)
    if (this.arrived.length === 0)
      await within(milliseconds, 'message', new Promise<void>((resolve) => (this.wake = resolve)))
    this.wake = undefined
    return this.arrived.shift()!
  }

  async accept(count: number): Promise<Message[]> {
    const messages: Message[] = []
    while (messages.length < count) {
      const { message, delivery } = await this.next()
      delivery.accept()
      messages.push(message)
    }
    return messages
  }

  /** What is there now: credit, then drain, then what came. */
  async drain(credit: number = 10): Promise<Arrival[]> {
    this.link.add_credit(credit)
    this.link.drain_credit()
    await within(PATIENCE_MS, 'drained', once(this.link, 'receiver_drained'))
    this.link.drain = false
    return this.arrived.splice(0)
  }

  async mustBeEmpty(what: string): Promise<void> {
    const [first] = await this.drain()
    assert(first === undefined, `${what} still holds ${JSON.stringify(first?.message)}`)
  }

  close(): Promise<void> {
    return detached(this.link, 'receiver', true)
  }
}

/** Attaches, and wants to be refused with this condition. */
export async function mustRefuse(attach: Promise<unknown>, condition: string): Promise<void> {
  const reason = await attach.then(
    () => 'nothing',
    (error: Error) => error.message,
  )
  assert(reason.includes(condition), `refused with ${reason}, not ${condition}`)
}
