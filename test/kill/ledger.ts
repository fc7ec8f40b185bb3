import type { ProducerState } from './protocol.ts'
import { deadLettersOf, homes, MAX_DELIVERIES, plan, producers, queuesOf } from './workload.ts'

/** How far a settlement has got: `doubt`, begun and not answered when the process was killed. */
type Settlement = 'none' | 'begun' | 'doubt' | 'done'

/** A message in one of the queues that it was routed to, or in that queue's dead letters. */
interface Copy {
  readonly home: string
  /** What the broker called it here and as a dead letter: a second name would be a second message. */
  id: string | undefined
  deadId: string | undefined
  accepted: Settlement
  /** Into the dead letters, by rejection. */
  moved: Settlement
  /** Failures counted for certain, and those that may have been. */
  failures: number
  failing: number
  seen: boolean
  /** In the hands of a consumer of this process. */
  held: boolean
  /** What the last start found. */
  found: number
}

interface Sent {
  readonly producer: string
  readonly sequence: number
  readonly copies: readonly Copy[]
  readonly priority: number
  readonly place: string
  confirmed: boolean
  /** Confirmed, or seen: then it is on disk, and may not be lost any more. */
  stored: boolean
  refused: boolean
  /** Sent, and not answered yet; of a life that has ended: in doubt. */
  pending: boolean
  doubtful: boolean
  times: number
}

export interface Counts {
  sent: number
  confirmed: number
  resent: number
  doubtfulSends: number
  doubtfulSettlements: number
  refused: number
  delivered: number
  accepted: number
  failed: number
  rejected: number
  starts: number
  lost: number
  doubled: number
}

const queues = new Set(homes.flatMap((home) => [home, deadLettersOf(home)]))

/**
 * What must be true of the broker, from what the children have said. A violation is a sentence in `violations`.
 *
 * - what was confirmed, or delivered once, is there after every start until it is settled;
 * - what was accepted, its promise resolved, never comes back; what was rejected is in the dead letters;
 * - a message is in one place, once, under one name;
 * - first deliveries to one consumer are in the order of the sends of each producer and priority;
 * - what browsing shows is what management counts.
 */
export class Ledger {
  readonly violations: string[] = []
  readonly counts: Counts = {
    sent: 0,
    confirmed: 0,
    resent: 0,
    doubtfulSends: 0,
    doubtfulSettlements: 0,
    refused: 0,
    delivered: 0,
    accepted: 0,
    failed: 0,
    rejected: 0,
    starts: 0,
    lost: 0,
    doubled: 0,
  }
  private readonly seed: number
  private readonly messages = new Map<string, Sent>()
  /** Not yet known to have left all their queues. */
  private readonly open = new Set<Sent>()
  private readonly highest = new Map<string, number>()
  private found = new Map<string, number>()
  /** Per consumer, producer and priority: the last sequence seen for the first time. */
  private order = new Map<string, number>()

  constructor(seed: number) {
    this.seed = seed
  }

  /** Takes in a line of a child. */
  read(line: string): void {
    const [verb, ...fields] = line.split(' ') as [string, ...string[]]
    switch (verb) {
      case 'held':
        return this.held(fields)
      case 'count':
        return this.counted(fields[0]!, Number(fields[1]))
      case 'last':
        return this.last(fields[0]!, Number(fields[1]))
      case 'ready':
        return this.started()
      case 'sending':
        return this.sending(fields[0]!, Number(fields[1]))
      case 'confirmed':
        return this.confirmed(fields[0]!, Number(fields[1]))
      case 'refused':
        return this.refused(fields[0]!, Number(fields[1]))
      case 'delivered':
        return this.delivered(fields)
      case 'closing':
      case 'closed':
        return
      case 'problem':
        return this.violate(line.slice('problem '.length))
      default:
        return this.settlement(verb, fields[0]!, fields[1]!, Number(fields[2]))
    }
  }

  /** A process begins. */
  begin(): void {
    this.found = new Map()
    this.order = new Map()
    for (const { copies } of this.open) for (const copy of copies) copy.found = 0
  }

  /** The process has ended: what it had begun and not finished is in doubt. */
  end(): void {
    for (const sent of this.open) {
      if (sent.pending) this.counts.doubtfulSends++
      sent.doubtful ||= sent.pending
      sent.pending = false
      for (const copy of sent.copies) {
        copy.held = false
        copy.accepted = this.doubt(copy.accepted)
        copy.moved = this.doubt(copy.moved)
        if (copy.failing > 0) this.counts.doubtfulSettlements++
      }
    }
  }

  /** What the next child has to send. */
  producers(): Record<string, ProducerState> {
    const states: Record<string, ProducerState> = {}
    for (const name of producers) {
      const unanswered = [...this.open].filter((sent) => sent.producer === name && !sent.confirmed)
      states[name] = {
        unanswered: unanswered.map(({ sequence }) => sequence).sort((a, b) => a - b),
        next: (this.highest.get(name) ?? 0) + 1,
      }
    }
    return states
  }

  /** After everything was drained and the broker was started once more: nothing may be left, by any count. */
  finish(): void {
    for (const sent of this.open) {
      if (!sent.confirmed) this.violate(`${name(sent)} was never confirmed`)
      for (const copy of sent.copies) {
        if (copy.accepted !== 'done') this.violate(`${name(sent)} in ${copy.home} was never accepted`)
      }
    }
    for (const [queue, messages] of this.found) {
      if (messages !== 0) this.violate(`${messages} messages are left in ${queue}`)
    }
  }

  private doubt(settlement: Settlement): Settlement {
    if (settlement !== 'begun') return settlement
    this.counts.doubtfulSettlements++
    return 'doubt'
  }

  private held([queue, producer, sequence, id]: string[]): void {
    this.found.set(queue!, (this.found.get(queue!) ?? 0) + 1)
    const copy = this.appeared(queue!, producer!, Number(sequence), id!)
    if (copy) copy.found++
  }

  private counted(queue: string, messages: number): void {
    if (!queues.has(queue)) return this.violate(`nobody asked for a queue ${queue}`)
    const found = this.found.get(queue) ?? 0
    if (found !== messages) this.violate(`${queue} shows ${found} messages and counts ${messages}`)
  }

  private last(producer: string, sequence: number): void {
    const stored = [...this.messages.values()].filter((sent) => sent.producer === producer && sent.stored)
    const least = stored.reduce((highest, sent) => Math.max(highest, sent.sequence), 0)
    const most = this.highest.get(producer) ?? 0
    if (sequence < least || sequence > most) {
      this.violate(`${producer} stored up to ${sequence}; expected from ${least} to ${most}`)
    }
  }

  /** All that is held has been shown. */
  private started(): void {
    this.counts.starts++
    for (const sent of this.open) {
      for (const copy of sent.copies) this.compare(sent, copy)
      if (sent.confirmed && sent.copies.every(({ accepted }) => accepted === 'done')) this.open.delete(sent)
    }
  }

  private compare(sent: Sent, copy: Copy): void {
    if (copy.found > 1)
      this.doubled(`${name(sent)} is ${copy.found} times in ${copy.home} and its dead letters`)
    if (copy.found > 0) {
      // Whatever was in doubt has not happened, or it would not be here.
      if (copy.accepted === 'doubt') copy.accepted = 'none'
      if (copy.moved === 'doubt') copy.moved = 'none'
      return
    }
    if (copy.accepted === 'doubt') copy.accepted = 'done'
    if (sent.stored && copy.accepted !== 'done') {
      this.counts.lost++
      this.violate(`${name(sent)} is lost from ${copy.home}`)
    }
  }

  private sending(producer: string, sequence: number): void {
    const key = `${producer}/${sequence}`
    const known = this.messages.get(key)
    if (known) {
      known.times++
      if (known.doubtful) this.counts.resent++
      known.pending = true
      known.doubtful = false
      return
    }
    const { place, priority } = plan(this.seed, producer, sequence)
    const copies = queuesOf[place].map(newCopy)
    const sent: Sent = {
      producer,
      sequence,
      copies,
      priority,
      place,
      confirmed: false,
      stored: false,
      refused: false,
      pending: true,
      doubtful: false,
      times: 1,
    }
    this.messages.set(key, sent)
    this.open.add(sent)
    this.highest.set(producer, Math.max(sequence, this.highest.get(producer) ?? 0))
    this.counts.sent++
  }

  private confirmed(producer: string, sequence: number): void {
    const sent = this.messages.get(`${producer}/${sequence}`)
    if (!sent) return this.violate(`${producer}/${sequence} was confirmed and never sent`)
    sent.confirmed = true
    sent.stored = true
    sent.pending = false
    this.counts.confirmed++
  }

  private refused(producer: string, sequence: number): void {
    const sent = this.messages.get(`${producer}/${sequence}`)!
    sent.refused = true
    sent.pending = false
    this.counts.refused++
    if (sent.stored) this.violate(`${name(sent)} was refused and had been stored`)
  }

  /** A message is seen in a queue, by browsing or by delivery. */
  private appeared(queue: string, producer: string, sequence: number, id: string): Copy | undefined {
    const sent = this.messages.get(`${producer}/${sequence}`)
    const copy = sent?.copies.find(({ home }) => queue === home || queue === deadLettersOf(home))
    if (!sent || !copy) {
      this.violate(`${producer}/${sequence} is in ${queue} and was never sent there`)
      return undefined
    }
    sent.stored = true
    if (copy.accepted === 'done') this.doubled(`${name(sent)} came back to ${queue} after it was accepted`)
    if (queue === copy.home) this.atHome(sent, copy, id)
    else this.amongDeadLetters(sent, copy, id)
    return copy
  }

  private atHome(sent: Sent, copy: Copy, id: string): void {
    copy.id ??= id
    if (copy.id !== id) this.doubled(`${name(sent)} is in ${copy.home} as ${copy.id} and as ${id}`)
    if (copy.moved === 'done') this.doubled(`${name(sent)} is in ${copy.home} after it was dead-lettered`)
  }

  private amongDeadLetters(sent: Sent, copy: Copy, id: string): void {
    copy.deadId ??= id
    if (copy.deadId !== id) this.doubled(`${name(sent)} is a dead letter as ${copy.deadId} and as ${id}`)
    const mayBe = copy.moved !== 'none' || copy.failures + copy.failing >= MAX_DELIVERIES
    if (!mayBe) this.violate(`${name(sent)} is a dead letter of ${copy.home} for no reason`)
    copy.moved = 'done'
  }

  private delivered([queue, producer, digits, id, consumer, deliveries, origin]: string[]): void {
    this.counts.delivered++
    const sequence = Number(digits)
    const copy = this.appeared(queue!, producer!, sequence, id!)
    if (!copy) return
    const sent = this.messages.get(`${producer}/${sequence}`)!
    if (copy.held) this.doubled(`${name(sent)} was delivered from ${queue} while it was held`)
    copy.held = true
    if (queue !== copy.home) {
      const known = copy.id === undefined || copy.id === origin
      if (!known) this.violate(`the dead letter ${name(sent)} was ${copy.id}, but says it was ${origin}`)
      return
    }
    if (Number(deliveries) <= copy.failures) {
      this.violate(`${name(sent)} failed ${copy.failures} times and shows ${deliveries} deliveries`)
    }
    if (copy.failures >= MAX_DELIVERIES) {
      this.violate(`${name(sent)} failed ${copy.failures} times and was delivered again`)
    }
    if (!copy.seen) this.inOrder(sent, queue!, consumer!)
    copy.seen = true
  }

  private inOrder(sent: Sent, queue: string, consumer: string): void {
    // A refused send is sent again behind later ones; whether one was, a killed child could not always tell.
    if (sent.refused || (sent.place === 'tight' && sent.times > 1)) return
    const lane = `${queue} ${consumer} ${sent.producer} ${sent.priority}`
    const last = this.order.get(lane) ?? 0
    if (sent.sequence < last) this.violate(`${name(sent)} came from ${queue} after ${last}`)
    this.order.set(lane, sent.sequence)
  }

  private settlement(verb: string, queue: string, producer: string, sequence: number): void {
    const sent = this.messages.get(`${producer}/${sequence}`)
    const copy = sent?.copies.find(({ home }) => queue === home || queue === deadLettersOf(home))
    if (!sent || !copy) return this.violate(`not understood: ${verb} ${queue} ${producer} ${sequence}`)
    switch (verb) {
      case 'accepting':
        copy.accepted = 'begun'
        return
      case 'accepted':
        copy.accepted = 'done'
        this.counts.accepted++
        if (sent.confirmed && sent.copies.every(({ accepted }) => accepted === 'done')) this.open.delete(sent)
        return
      case 'rejecting':
        copy.moved = 'begun'
        copy.held = false
        return
      case 'rejected':
        copy.moved = 'done'
        this.counts.rejected++
        return
      case 'failing':
        copy.failing++
        copy.held = false
        return
      case 'failed':
        copy.failing--
        copy.failures++
        this.counts.failed++
        return
      case 'releasing':
        copy.held = false
        return
      default:
        this.violate(`not understood: ${verb}`)
    }
  }

  private doubled(text: string): void {
    this.counts.doubled++
    this.violate(text)
  }

  private violate(text: string): void {
    this.violations.push(text)
  }
}

function newCopy(home: string): Copy {
  return {
    home,
    id: undefined,
    deadId: undefined,
    accepted: 'none',
    moved: 'none',
    failures: 0,
    failing: 0,
    seen: false,
    held: false,
    found: 0,
  }
}

function name({ producer, sequence }: Sent): string {
  return `${producer}/${sequence}`
}
