/**
 * What every program here does: run its checks one after the other and print a line for each, `ok NAME`,
 * `FAIL NAME: reason` or `skip NAME: reason`.
 */
import { createInterface } from 'node:readline'

export type Check = () => Promise<void>

const DEADLINE_MS = 60_000

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

export function assert(condition: boolean, otherwise: string): asserts condition {
  if (!condition) throw new Error(otherwise)
}

export function assertEqual(actual: unknown, expected: unknown, what: string): void {
  const [was, should] = [JSON.stringify(actual), JSON.stringify(expected)]
  assert(was === should, `${what} is ${was}, not ${should}`)
}

export async function within<T>(milliseconds: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing within ${milliseconds} ms`)), milliseconds)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Answers whether all passed. Other names than those asked for are passed over. */
export async function runChecks(
  checks: Readonly<Record<string, Check>>,
  asked: readonly string[],
): Promise<boolean> {
  let passed = true
  for (const [name, check] of Object.entries(checks)) {
    if (asked.length > 0 && !asked.includes(name)) continue
    try {
      await within(DEADLINE_MS, name, check())
      say(`ok ${name}`)
    } catch (error) {
      passed = false
      say(`FAIL ${name}: ${String((error as Error).message).replaceAll('\n', ' ')}`)
    }
  }
  return passed
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()

/** Has the broker killed with -9 and started again on the same ports; resolves when it is ready. */
export async function restartBroker(): Promise<void> {
  say('restart')
  const { value } = await lines.next()
  assert(value === 'restarted', `the broker was not restarted: ${value}`)
}
