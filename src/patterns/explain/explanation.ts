/** What is promised by a producer, consumer, outbox or inbox as it is configured, in words. */
export interface Explanation {
  /** How a message may be lost. Empty: it is not. */
  readonly lost: readonly string[]
  /** How it may be there, or be handled, more than once. */
  readonly duplicated: readonly string[]
  /** In which order messages come, and what changes it. */
  readonly order: readonly string[]
  /** When a promise begins, and how long it holds. */
  readonly until: readonly string[]
  /** All of it, for people. */
  readonly text: string
  toString(): string
}

export type Sentences = Pick<Explanation, 'lost' | 'duplicated' | 'order' | 'until'>

const headings: readonly [keyof Sentences, string][] = [
  ['lost', 'What may be lost'],
  ['duplicated', 'What may be there twice'],
  ['order', 'In which order'],
  ['until', 'Until when'],
]

export function explanation(subject: string, sentences: Sentences): Explanation {
  const parts = headings.map(([part, heading]) => {
    const lines = sentences[part].length > 0 ? sentences[part] : ['Nothing.']
    return `${heading}\n${lines.map((line) => `  - ${line}`).join('\n')}`
  })
  const text = `${subject}\n\n${parts.join('\n')}\n`
  return { ...sentences, text, toString: () => text }
}

const units: readonly [name: string, milliseconds: number][] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
]

/** A duration as people say it. */
export function inWords(milliseconds: number): string {
  if (milliseconds === Number.POSITIVE_INFINITY) return 'ever'
  for (const [name, length] of units) {
    if (milliseconds < length) continue
    return `${Number((milliseconds / length).toFixed(1))} ${name}`
  }
  return `${Number(milliseconds.toFixed(1))} ms`
}
