/** A transfer of 100 bytes as AMQP 1.0 frames it, and the disposition that confirms it. */
export const FRAME = 142
export const ANSWER = 35
