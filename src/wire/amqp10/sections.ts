/**
 * The sections of a message (AMQP 1.0 core, part 3.2) and the annotations by which the JMS mapping names types.
 *
 *   message := [message-annotations] [properties] [application-properties] body
 *   section := 0x00 descriptor value
 *   body    := data+ | amqp-sequence+ | amqp-value
 *
 * A payload that the broker keeps has no header section: what a header says (durable, priority, ttl, delivery count)
 * changes on the way and lives in the envelope. Readers pass over headers, delivery annotations and footers.
 */
export const Section = {
  header: 0x70,
  deliveryAnnotations: 0x71,
  messageAnnotations: 0x72,
  properties: 0x73,
  applicationProperties: 0x74,
  data: 0x75,
  sequence: 0x76,
  value: 0x77,
  footer: 0x78,
} as const

/** Positions in the list of the properties section. */
export const Field = {
  messageId: 0,
  userId: 1,
  to: 2,
  subject: 3,
  replyTo: 4,
  correlationId: 5,
  contentType: 6,
  contentEncoding: 7,
  absoluteExpiry: 8,
  creationTime: 9,
  groupId: 10,
  groupSequence: 11,
} as const

/** Values of x-opt-jms-msg-type. */
export const JmsType = { message: 0, object: 1, map: 2, bytes: 3, stream: 4, text: 5 } as const

export const MESSAGE_TYPE_KEY = 'x-opt-jms-msg-type'
export const DESTINATION_KEY = 'x-opt-jms-dest'
export const REPLY_TO_KEY = 'x-opt-jms-reply-to'

/** Message annotation with the id by which repetitions are recognized. */
export const DEDUPLICATION_KEY = 'x-opt-deduplication-id'
/** Property that says the same, for clients that cannot set annotations, such as those of JMS. Artemis has it, too. */
export const DEDUPLICATION_PROPERTY = '_AMQ_DUPL_ID'

/** Message annotations of scheduled messages: a time in wall milliseconds, or how long from now. JMS clients and Artemis have them. */
export const DELIVERY_TIME_KEY = 'x-opt-delivery-time'
export const DELIVERY_DELAY_KEY = 'x-opt-delivery-delay'
/** Message annotations of repeating messages: the fields of Repetition, by name. */
export const REPEAT_PREFIX = 'x-opt-repeat-'
export const repetitionFields = ['every', 'cron', 'timezone', 'times', 'until'] as const

/** Values of x-opt-jms-dest and x-opt-jms-reply-to, by position. */
export const destinationKinds = ['queue', 'topic', 'temporary-queue', 'temporary-topic'] as const

export const JSON_CONTENT_TYPE = 'application/json'
