/**
 * The encoding of messages for providers that carry AMQP 1.0 sections as opaque payloads.
 */
export { encodeMessage, encodeShared, keepEncoded } from '../wire/amqp10/message-encoder.ts'
export { findDeduplicationId, findProperty, MessageView } from '../wire/amqp10/message-view.ts'
export { selectableValue } from '../wire/amqp10/selection.ts'
