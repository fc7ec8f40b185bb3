import type { Destination } from '../../model/destination.ts'
import type { Outgoing, ProviderSender, SendReceipt } from '../provider.ts'
import { addressee } from './address.ts'
import { closedError } from './errors.ts'

/** Sends to any destination at a broker that has no anonymous relay: over a link for each, so that order is kept in each. */
export class FanSender implements ProviderSender {
  readonly lastSequence: number = 0
  private readonly open: (destination: Destination) => ProviderSender
  private readonly senders: Map<string, ProviderSender> = new Map()
  private closed = false

  constructor(open: (destination: Destination) => ProviderSender) {
    this.open = open
  }

  send(message: Outgoing): Promise<SendReceipt> {
    if (this.closed) return Promise.reject(closedError('sender'))
    const { kind, name } = addressee(message.destination)
    const key = `${kind} ${name}`
    let sender = this.senders.get(key)
    if (!sender) {
      sender = this.open({ kind, name })
      this.senders.set(key, sender)
    }
    return sender.send(message)
  }

  async close(): Promise<void> {
    this.closed = true
    await Promise.all([...this.senders.values()].map((sender) => sender.close()))
  }
}
