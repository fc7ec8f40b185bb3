import type { SaslClient, SaslFailure, SaslServer, SaslStep } from '../sasl/sasl.ts'
import { AmqpArray, AmqpSymbol, Typed } from '../values.ts'
import { Writer } from '../writer.ts'
import { AmqpCondition } from './conditions.ts'
import { Descriptor } from './descriptors.ts'
import type { FieldAccess } from './field-access.ts'
import { readDescriptor, readList } from './performative-decoder.ts'
import type { AmqpError } from './performatives.ts'
import { errorOf, Violation } from './violation.ts'

/** What the layer needs of the connection below it. */
export interface SaslHost {
  writeSasl(body: Uint8Array): void
  /** Bytes that come are kept from now on, until `resumed`. */
  pause(): void
  resume(): void
  authenticated(identity: string): void
  /** The frames are not what they should be, or the answer was no. */
  refused(error: AmqpError, by: 'violation' | 'authentication'): void
}

const failures: Readonly<Record<SaslFailure, string>> = {
  1: 'the credentials are wrong',
  2: 'authentication failed because of the system',
  3: 'authentication failed because of the system, and will again',
  4: 'authentication failed because of the system, and may not later',
}

const noBytes = new Uint8Array(0)
const writer = new Writer(256)

/** The exchange of SASL frames (5.3): one end of it. */
abstract class SaslLayer {
  protected readonly host: SaslHost
  private over = false

  constructor(host: SaslHost) {
    this.host = host
  }

  /** The body of a frame of type SASL. */
  receive(bytes: Buffer, start: number, end: number): void {
    try {
      const { code, at } = readDescriptor(bytes, start, end)
      this.frame(code, readList('SASL frame', bytes, at, end))
    } catch (thrown) {
      this.refuse(errorOf(thrown), 'violation')
    }
  }

  protected abstract frame(code: number, fields: FieldAccess): void

  /** Asks a mechanism, and goes on with its answer, at once or when it is there. */
  protected settle<T>(
    ask: () => T | Promise<T>,
    go: (value: T) => void,
    failed: (reason: unknown) => void,
  ): void {
    let answer: T | Promise<T>
    try {
      answer = ask()
    } catch (reason) {
      return failed(reason)
    }
    if (!(answer instanceof Promise)) return go(answer)
    this.host.pause()
    const resume = (act: () => void) => {
      if (this.over) return
      act()
      this.host.resume()
    }
    answer.then(
      (value) => resume(() => go(value)),
      (reason: unknown) => resume(() => failed(reason)),
    )
  }

  protected finish(identity: string): void {
    this.over = true
    this.host.authenticated(identity)
  }

  /** The connection is over: answers that are under way come too late. */
  stop(): void {
    this.over = true
  }

  protected refuse(error: AmqpError, by: 'violation' | 'authentication'): void {
    if (this.over) return
    this.over = true
    this.host.refused(error, by)
  }

  protected write(descriptor: number, ...fields: unknown[]): void {
    writer.reset().descriptor(descriptor)
    writer.list(fields)
    this.host.writeSasl(writer.slice())
  }
}

/** The server's end. `hostname` and mechanism are checked by the mechanisms. */
export class SaslServerLayer extends SaslLayer {
  private readonly server: SaslServer
  private started = false

  constructor(host: SaslHost, server: SaslServer) {
    super(host)
    this.server = server
  }

  /** Offers the mechanisms, after the header. */
  begin(): void {
    this.write(Descriptor.saslMechanisms, new AmqpArray('symbol', this.server.mechanisms()))
  }

  protected frame(code: number, fields: FieldAccess): void {
    if (code === Descriptor.saslInit && !this.started) {
      this.started = true
      const mechanism = fields.symbol(0) ?? fields.wrong(0, 'there, although it is mandatory')
      const initial = fields.binary(1) ?? noBytes
      this.take(() => this.server.start(mechanism, initial, fields.string(2) ?? ''))
    } else if (code === Descriptor.saslResponse && this.started) {
      const response = fields.binary(0) ?? fields.wrong(0, 'there, although it is mandatory')
      this.take(() => this.server.next(response))
    } else {
      throw new Violation(AmqpCondition.illegalState, 'this SASL frame is not expected now')
    }
  }

  private take(ask: () => SaslStep | Promise<SaslStep>): void {
    this.settle(
      ask,
      (step) => this.step(step),
      () => this.fail(2),
    )
  }

  private step(step: SaslStep): void {
    if (step.kind === 'failed') return this.fail(step.code)
    if (step.kind === 'challenge') return this.write(Descriptor.saslChallenge, step.bytes)
    this.write(Descriptor.saslOutcome, new Typed('ubyte', 0), step.bytes ?? null)
    this.finish(step.identity)
  }

  private fail(code: SaslFailure): void {
    this.write(Descriptor.saslOutcome, new Typed('ubyte', code))
    this.refuse(unauthorized(failures[code]), 'authentication')
  }
}

/** The client's end. */
export class SaslClientLayer extends SaslLayer {
  private readonly client: SaslClient
  private readonly hostname: string | undefined
  private mechanism = ''

  constructor(host: SaslHost, client: SaslClient, hostname: string | undefined) {
    super(host)
    this.client = client
    this.hostname = hostname
  }

  protected frame(code: number, fields: FieldAccess): void {
    if (code === Descriptor.saslMechanisms && !this.mechanism) this.choose(fields.symbols(0))
    else if (code === Descriptor.saslChallenge && this.mechanism) this.answer(fields)
    else if (code === Descriptor.saslOutcome && this.mechanism) this.conclude(fields)
    else throw new Violation(AmqpCondition.illegalState, 'this SASL frame is not expected now')
  }

  private choose(offered: readonly string[]): void {
    const choice = this.client.choose(offered)
    if (!choice) {
      const error = unauthorized(`the server offers only ${offered.join(', ') || 'no mechanism'}`)
      return this.refuse(error, 'authentication')
    }
    this.mechanism = choice.mechanism
    this.write(Descriptor.saslInit, new AmqpSymbol(choice.mechanism), choice.initial, this.hostname ?? null)
  }

  private answer(fields: FieldAccess): void {
    const challenge = fields.binary(0) ?? fields.wrong(0, 'there, although it is mandatory')
    this.settle(
      () => this.client.next(challenge),
      (response) => this.write(Descriptor.saslResponse, response),
      (reason) => this.distrust(reason),
    )
  }

  private conclude(fields: FieldAccess): void {
    const code = fields.uint(0, undefined, 4)
    if (code !== 0) {
      const error = unauthorized(failures[code as SaslFailure])
      return this.refuse({ ...error, info: new Map([['sasl-code', code]]) }, 'authentication')
    }
    const data = fields.binary(1)
    this.settle(
      () => this.client.finish?.(data),
      () => this.finish(this.mechanism),
      (reason) => this.distrust(reason),
    )
  }

  /** The server has not proven that it knows the secret, or makes no sense. */
  private distrust(reason: unknown): void {
    this.refuse(unauthorized(reason instanceof Error ? reason.message : String(reason)), 'authentication')
  }
}

function unauthorized(description: string): AmqpError {
  return { condition: AmqpCondition.unauthorizedAccess, description }
}
