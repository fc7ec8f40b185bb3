/**
 * What the performatives of AMQP 1.0 (core, 2.7 and 3.5) say, as plain data. Symbols are strings here; values of maps are
 * as `values.ts` says.
 */

/** Keys are symbols on the wire. */
export type Fields = ReadonlyMap<string, unknown>

/** 2.8.14 */
export interface AmqpError {
  readonly condition: string
  readonly description?: string | undefined
  readonly info?: Fields | undefined
}

/** 2.7.1 */
export interface Open {
  readonly containerId: string
  readonly hostname?: string | undefined
  /** Bytes. */
  readonly maxFrameSize: number
  readonly channelMax: number
  /** Milliseconds; 0 for none. */
  readonly idleTimeOut: number
  readonly offeredCapabilities: readonly string[]
  readonly desiredCapabilities: readonly string[]
  readonly properties: Fields
}

export type TerminusDurability = 'none' | 'configuration' | 'unsettled-state'
export type ExpiryPolicy = 'link-detach' | 'session-end' | 'connection-close' | 'never'

interface Terminus {
  readonly address: string | null
  readonly durable: TerminusDurability
  readonly expiryPolicy: ExpiryPolicy
  /** Seconds. */
  readonly timeout: number
  readonly dynamic: boolean
  readonly dynamicNodeProperties?: Fields | undefined
  readonly capabilities: readonly string[]
}

/** 3.5.3 */
export interface Source extends Terminus {
  readonly distributionMode?: 'move' | 'copy' | undefined
  /** Values are Described. */
  readonly filter?: Fields | undefined
  readonly defaultOutcome?: DeliveryState | undefined
  readonly outcomes: readonly string[]
}

/** 3.5.4 */
export interface Target extends Terminus {}

/** 4.5.1: the target of a link on which transactions are declared. */
export interface Coordinator {
  readonly coordinator: true
  readonly capabilities: readonly string[]
}

/** 2.7.3 */
export interface Attach {
  readonly name: string
  /** Of whoever sent the attach. */
  readonly role: 'sender' | 'receiver'
  readonly sndSettleMode: 'unsettled' | 'settled' | 'mixed'
  readonly rcvSettleMode: 'first' | 'second'
  readonly source: Source | null
  readonly target: Target | Coordinator | null
  /** Bytes; 0 for no limit. */
  readonly maxMessageSize: number
  readonly offeredCapabilities: readonly string[]
  readonly desiredCapabilities: readonly string[]
  readonly properties: Fields
}

/** 3.4 and, of a transaction, 4.5 */
export type DeliveryState =
  | { readonly kind: 'accepted' }
  | { readonly kind: 'released' }
  | { readonly kind: 'rejected'; readonly error?: AmqpError | undefined }
  | {
      readonly kind: 'modified'
      readonly deliveryFailed: boolean
      readonly undeliverableHere: boolean
      readonly messageAnnotations?: Fields | undefined
    }
  | { readonly kind: 'received'; readonly sectionNumber: number; readonly sectionOffset: number }
  /** 4.5.5: what a coordinator answers to a declare. */
  | { readonly kind: 'declared'; readonly transaction: Uint8Array }
  | TransactionalState
  /** A state of an extension. */
  | { readonly kind: 'unknown'; readonly descriptor: unknown }

/** 4.5.8: a delivery that belongs to a transaction, and what is to become of it, or has for the present. */
export interface TransactionalState {
  readonly kind: 'transactional'
  readonly transaction: Uint8Array
  /** Not a transactional one again. */
  readonly outcome?: DeliveryState | undefined
}

export const accepted: DeliveryState = { kind: 'accepted' }
export const released: DeliveryState = { kind: 'released' }

export const noFields: Fields = new Map()
