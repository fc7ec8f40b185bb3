/** Descriptor codes of the core specification below 0x70. */
export const Descriptor = {
  open: 0x10,
  begin: 0x11,
  attach: 0x12,
  flow: 0x13,
  transfer: 0x14,
  disposition: 0x15,
  detach: 0x16,
  end: 0x17,
  close: 0x18,
  error: 0x1d,
  received: 0x23,
  accepted: 0x24,
  rejected: 0x25,
  released: 0x26,
  modified: 0x27,
  source: 0x28,
  target: 0x29,
  coordinator: 0x30,
  declare: 0x31,
  discharge: 0x32,
  declared: 0x33,
  transactionalState: 0x34,
  saslMechanisms: 0x40,
  saslInit: 0x41,
  saslChallenge: 0x42,
  saslResponse: 0x43,
  saslOutcome: 0x44,
} as const

const symbolic: Readonly<Record<string, number>> = {
  'amqp:open:list': Descriptor.open,
  'amqp:begin:list': Descriptor.begin,
  'amqp:attach:list': Descriptor.attach,
  'amqp:flow:list': Descriptor.flow,
  'amqp:transfer:list': Descriptor.transfer,
  'amqp:disposition:list': Descriptor.disposition,
  'amqp:detach:list': Descriptor.detach,
  'amqp:end:list': Descriptor.end,
  'amqp:close:list': Descriptor.close,
  'amqp:error:list': Descriptor.error,
  'amqp:received:list': Descriptor.received,
  'amqp:accepted:list': Descriptor.accepted,
  'amqp:rejected:list': Descriptor.rejected,
  'amqp:released:list': Descriptor.released,
  'amqp:modified:list': Descriptor.modified,
  'amqp:source:list': Descriptor.source,
  'amqp:target:list': Descriptor.target,
  'amqp:coordinator:list': Descriptor.coordinator,
  'amqp:declare:list': Descriptor.declare,
  'amqp:discharge:list': Descriptor.discharge,
  'amqp:declared:list': Descriptor.declared,
  'amqp:transactional-state:list': Descriptor.transactionalState,
  'amqp:sasl-mechanisms:list': Descriptor.saslMechanisms,
  'amqp:sasl-init:list': Descriptor.saslInit,
  'amqp:sasl-challenge:list': Descriptor.saslChallenge,
  'amqp:sasl-response:list': Descriptor.saslResponse,
  'amqp:sasl-outcome:list': Descriptor.saslOutcome,
}

/** The code of a decoded descriptor, numeric or symbolic; NaN for one that is neither. */
export function descriptorCode(descriptor: unknown): number {
  if (typeof descriptor === 'bigint' || typeof descriptor === 'number') return Number(descriptor)
  const name = String(descriptor)
  return Object.hasOwn(symbolic, name) ? symbolic[name]! : Number.NaN
}
