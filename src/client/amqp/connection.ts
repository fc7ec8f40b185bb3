import { randomUUID } from 'node:crypto'
import type { Durability } from '../../model/delivery.ts'
import type { CompositeDestination, Destination } from '../../model/destination.ts'
import { isMillraceError, MillraceError } from '../../model/errors.ts'
import type { QueuePolicy } from '../../model/policy.ts'
import type {
  BrowsedPage,
  Capabilities,
  ProviderConnection,
  ProviderEvents,
  ProviderSender,
  ProviderTransaction,
  ReceiverOptions,
  ReceiverSink,
  SenderOptions,
  Source,
  SubscriptionSource,
} from '../provider.ts'
import { addressee } from './address.ts'
import { Blocks } from './blocks.ts'
import { capabilitiesOf } from './capabilities.ts'
import { CopyBrowser } from './copy-browser.ts'
import type { Dialler } from './dialler.ts'
import { closedError, lost } from './errors.ts'
import { FanSender } from './fan-sender.ts'
import { type Line, MILLRACE, RELAY } from './line.ts'
import { AmqpManagement } from './management.ts'
import { AmqpPrepared } from './prepared.ts'
import { AmqpReceiver, type ReceiverHome, type ReceiverSource } from './receiver.ts'
import { receiverSource, type SourceContext } from './receiver-sources.ts'
import { Requests } from './requests.ts'
import { AmqpSender, type SenderHome } from './sender.ts'
import { type Resumable, Sessions } from './sessions.ts'
import { Slab } from './slab.ts'
import { dropSubscription, keepSubscription } from './subscriptions.ts'
import { TemporaryNode } from './temporary.ts'
import { CoordinatorLine } from './transactions.ts'

/** Bytes of sends that wait for their decision; beyond, sends are refused with `memory-full`. */
const UNDECIDED_BYTES = 512 * 1024 * 1024

/** The provider port over AMQP 1.0: what lives on it is made anew on each line that follows a lost one. */
export class AmqpConnection implements ProviderConnection, SenderHome, ReceiverHome, SourceContext {
  readonly slab: Slab = new Slab()
  readonly clientId: string | undefined
  readonly management: AmqpManagement | undefined
  readonly prepared: AmqpPrepared | undefined
  sessions: Sessions | undefined
  capabilities!: Capabilities
  private readonly dialler: Dialler
  private readonly events: ProviderEvents
  private readonly ended: () => Promise<void>
  private readonly blocks: Blocks
  private readonly aborter: AbortController = new AbortController()
  private readonly requests: Requests = new Requests(this)
  /** Before the senders, which are to find its transactions ended when the line is lost. */
  private readonly coordinator: CoordinatorLine = new CoordinatorLine(this)
  private readonly resumables: Set<Resumable> = new Set([this.requests, this.coordinator])
  private readonly receivers: Set<AmqpReceiver> = new Set()
  private readonly temporaries: Map<string, TemporaryNode> = new Map()
  private readonly sharers: Map<string, number> = new Map()
  private readonly browsers: CopyBrowser
  /** Receivers to which something has come with the bytes at hand. */
  private dirty: AmqpReceiver[] = []
  private undecidedBytes = 0
  private line!: Line
  /** While there is no line: resolves when there is one, rejects when there will be none. */
  private restoring: Promise<void> | undefined
  private failure: MillraceError | undefined
  private closing: Promise<void> | undefined

  /** `ended` is called when there will be no other line. Rejects with what kept the broker from being reached. */
  static async open(
    dialler: Dialler,
    clientId: string | undefined,
    events: ProviderEvents,
    signal: AbortSignal | undefined,
    ended: () => Promise<void> = async () => {},
  ): Promise<AmqpConnection> {
    const never = new AbortController().signal
    return new AmqpConnection(dialler, await dialler.first(signal ?? never), clientId, events, ended)
  }

  private constructor(
    dialler: Dialler,
    line: Line,
    clientId: string | undefined,
    events: ProviderEvents,
    ended: () => Promise<void>,
  ) {
    this.dialler = dialler
    this.clientId = clientId
    this.events = events
    this.ended = ended
    this.blocks = new Blocks(events)
    this.browsers = new CopyBrowser(this)
    this.adopt(line)
    this.management = this.millrace ? new AmqpManagement(this.requests) : undefined
    this.prepared = this.millrace
      ? new AmqpPrepared(this.requests, (from, sink) => this.receive(() => from, sink))
      : undefined
  }

  get millrace(): boolean {
    return this.line.open.offeredCapabilities.includes(MILLRACE)
  }

  get confirmsSettlements(): boolean {
    return this.millrace
  }

  get durabilities(): readonly Durability[] {
    return this.capabilities.durabilities
  }

  get maxMessageBytes(): number {
    return this.capabilities.maxMessageBytes
  }

  private adopt(line: Line): void {
    this.line = line
    this.sessions = new Sessions(line.peer)
    this.capabilities = capabilitiesOf(line)
    line.onLost = (error) => this.lost(error)
    line.onReceived = () => this.handOver()
  }

  async createSender(
    target?: Destination | CompositeDestination,
    options: SenderOptions = {},
  ): Promise<ProviderSender> {
    const { producerId = randomUUID() } = options
    await this.ready()
    if (!target && !this.line.open.offeredCapabilities.includes(RELAY)) {
      return new FanSender((destination) => this.unattachedSender(destination))
    }
    return this.attached(() => new AmqpSender(this, target && addressee(target), producerId))
  }

  /** It attaches when it is first used. */
  private unattachedSender(destination: Destination): AmqpSender {
    const sender = new AmqpSender(this, destination, randomUUID())
    this.resumables.add(sender)
    return sender
  }

  async createReceiver(source: Source, options: ReceiverOptions, sink: ReceiverSink): Promise<AmqpReceiver> {
    if (source.kind === 'subscription' && source.policy) await this.subscribe(source)
    return this.receive(() => receiverSource(source, options, this), sink)
  }

  private receive(sourceOf: () => ReceiverSource, sink: ReceiverSink): Promise<AmqpReceiver> {
    return this.attached(() => {
      const from = sourceOf()
      const { linkName } = from
      if (linkName !== undefined && this.receives((other) => other.linkName === linkName)) {
        throw new MillraceError('destination-in-use', `the subscription ${linkName} has a consumer`)
      }
      const receiver = new AmqpReceiver(this, from, sink)
      this.receivers.add(receiver)
      return receiver
    })
  }

  private receives(test: (from: ReceiverSource) => boolean): boolean {
    return [...this.receivers].some(({ source }) => test(source))
  }

  /** Makes something that attaches, and makes it again when the line is lost meanwhile. */
  private async attached<T extends Resumable & { open(): Promise<unknown> }>(make: () => T): Promise<T> {
    for (;;) {
      await this.ready()
      const made = make()
      // Already, because nobody else tells it when the line is lost on the way.
      this.resumables.add(made)
      try {
        await made.open()
        return made
      } catch (error) {
        this.resumables.delete(made)
        this.receivers.delete(made as unknown as AmqpReceiver)
        if (!(isMillraceError(error) && error.code === 'connection-lost')) throw error
        // Of a line that lives it is the answer.
        if (this.sessions) throw error
      }
    }
  }

  async browse(
    queue: string,
    after: string | undefined,
    limit: number,
    selector?: string,
  ): Promise<BrowsedPage> {
    await this.ready()
    return this.management
      ? this.management.browse(queue, after, limit, selector)
      : this.browsers.browse(queue, after, limit, selector)
  }

  async declare(queue: string, policy: Partial<QueuePolicy>): Promise<void> {
    await this.ready()
    // Elsewhere queues have the policies that their broker gives them.
    await this.management?.declare(queue, policy)
  }

  async subscribe(source: SubscriptionSource): Promise<void> {
    await this.ready()
    if (this.management) await this.management.subscribe(source)
    else await keepSubscription(this.sessions!, receiverSource(source, {}, this))
  }

  async unsubscribe(name: string, shared: boolean): Promise<void> {
    await this.ready()
    if (this.management) await this.management.unsubscribe(name, shared)
    else await dropSubscription(this.sessions!, name, shared, this.clientId)
  }

  async createTemporary(kind: 'temporary-queue' | 'temporary-topic'): Promise<Destination> {
    const node = await this.attached(() => new TemporaryNode(this, kind))
    this.temporaries.set(node.name, node)
    return { kind, name: node.name }
  }

  async deleteTemporary({ name }: Destination): Promise<void> {
    await this.ready()
    const node = this.temporaries.get(name)
    if (!node) return
    if (this.receives(({ destination }) => destination.name === name)) {
      throw new MillraceError('destination-in-use', `${name} has consumers`)
    }
    await node.delete()
    this.resumables.delete(node)
    this.temporaries.delete(name)
  }

  async beginTransaction(): Promise<ProviderTransaction> {
    await this.ready()
    return this.coordinator.begin()
  }

  close(): Promise<void> {
    this.closing ??= this.finish()
    return this.closing
  }

  private async finish(): Promise<void> {
    const closed = new MillraceError('closed', 'the connection was closed')
    this.aborter.abort(closed)
    if (this.sessions) {
      await Promise.all([...this.receivers].map((receiver) => receiver.release()))
      await this.line.close()
    }
    this.sessions = undefined
    for (const each of [...this.resumables]) each.fail(closed)
    await this.ended()
  }

  /** Resolves when there is a line. */
  private async ready(): Promise<void> {
    for (;;) {
      if (this.closing) throw closedError('connection')
      if (this.failure) throw this.failure
      if (this.sessions) return
      await this.restoring
    }
  }

  private lost(error: MillraceError): void {
    this.sessions = undefined
    this.dirty = []
    for (const each of [...this.resumables]) each.suspend()
    this.blocks.clear()
    if (this.closing) return
    const why = lost(error)
    // While links are being restored the line may be lost again; that is the same interruption.
    if (!this.restoring) {
      this.events.disconnected(why)
      this.restoring = this.restore(why).finally(() => {
        this.restoring = undefined
      })
      this.restoring.catch(() => {})
    }
  }

  private async restore(why: MillraceError): Promise<void> {
    try {
      do {
        this.adopt(await this.dialler.again(this.aborter.signal))
        await Promise.all([...this.resumables].map((each) => each.resume()))
      } while (!this.sessions)
    } catch (error) {
      if (this.closing) return
      this.fail(isMillraceError(error) ? error : why)
      throw error
    }
    if (!this.closing) this.events.reconnected()
  }

  /** It is given up. */
  private fail(cause: MillraceError): void {
    const error = new MillraceError('connection-lost', `the connection was not restored: ${cause.message}`, {
      cause,
    })
    this.failure = error
    for (const each of [...this.resumables]) each.fail(error)
    this.events.failed(error)
    // Who gives up for good leaves nothing behind; what that meets is of no more use to anybody.
    void this.ended().catch(() => {})
  }

  arrived(receiver: AmqpReceiver): void {
    this.dirty.push(receiver)
  }

  private handOver(): void {
    if (this.dirty.length === 0) return
    const { dirty } = this
    this.dirty = []
    for (const receiver of dirty) receiver.handOver()
  }

  reserve(bytes: number): void {
    if (this.undecidedBytes > 0 && this.undecidedBytes + bytes > UNDECIDED_BYTES) {
      throw new MillraceError('memory-full', 'too many bytes of sends wait for the broker to decide them')
    }
    this.undecidedBytes += bytes
  }

  free(bytes: number): void {
    this.undecidedBytes -= bytes
  }

  blocked(sender: AmqpSender, reasons: ReadonlyMap<string, string>): void {
    this.blocks.set(sender, reasons)
  }

  isTemporary(name: string): boolean {
    return this.temporaries.has(name)
  }

  sharer(name: string): number {
    const number = (this.sharers.get(name) ?? 0) + 1
    this.sharers.set(name, number)
    return number
  }

  forget(gone: AmqpSender | AmqpReceiver): void {
    this.resumables.delete(gone)
    this.receivers.delete(gone as AmqpReceiver)
  }
}
