import { type Queue, queue } from '../../src/index.ts'

/** How the service sees to mail and text message: one after the other, both at once, or later. */
export type Way = 'serial' | 'parallel' | 'queued'

/** The post office does these two. */
export type Kind = 'mail' | 'text'

export interface Greeting {
  readonly user: number
  readonly to: string
}

export const greetings: Readonly<Record<Kind, Queue<Greeting>>> = {
  mail: queue<Greeting>('mails', { policy: { backoff: { delay: '100ms', maxDelay: '1s' } } }),
  text: queue<Greeting>('texts', { policy: { backoff: { delay: '100ms', maxDelay: '1s' } } }),
}

/** Has the post office deliver; `id` tells it when it is asked for the same again. Rejects when it does not answer so. */
export async function deliver(port: number, kind: Kind, id: string, greeting: Greeting): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${port}/${kind}`, {
    method: 'POST',
    headers: { 'idempotency-key': id },
    body: JSON.stringify(greeting),
  })
  await response.arrayBuffer()
  if (!response.ok) throw new Error(`the post office answered ${response.status}`)
}
