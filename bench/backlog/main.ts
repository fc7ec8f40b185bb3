/**
 * A backlog of messages, what it costs to have it and to get rid of it: npm run bench:backlog. The engine on its journal, in
 * a process of its own, called without the API above it.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { MemoryLimit } from '../memory-limit.ts'
import { describeMachine } from '../statistics.ts'
import { manyQueues } from './many-queues.ts'
import { oneQueue } from './one-queue.ts'
import { Report } from './report.ts'

const usage = `npm run bench:backlog -- [--messages N] [--queues N] [--each N] [--only one|many] [--memory BYTES]
                         [--directory DIR] [--json FILE] [--check]

Messages of 100 B on disk: N of them in one queue (100 million unless said otherwise), and many queues (10,000) with some
in each (10,000).
--only one|many   one of the two
--memory BYTES    bound on the process and its page cache, where control groups are to be had (2 GiB); 0: none
--directory DIR   keeps the directory: what an earlier run has put there is not put there again
--json FILE       writes all figures as JSON
--check           fails when a ratio, the memory or a start is far from what it should be`

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '100000000' },
    queues: { type: 'string', default: '10000' },
    each: { type: 'string', default: '10000' },
    only: { type: 'string', default: '' },
    memory: { type: 'string', default: String(2 * 2 ** 30) },
    directory: { type: 'string' },
    json: { type: 'string' },
    check: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

/** On disk, about, with what is kept for the checkpoint before the last, and clusters while they are written. */
const BYTES_A_MESSAGE = 350

async function main(): Promise<void> {
  if (values.help) {
    console.log(usage)
    return
  }
  const [messages, queues, each] = [values.messages, values.queues, values.each].map(Number) as [
    number,
    number,
    number,
  ]
  const parent = values.directory ?? mkdtempSync(join(tmpdir(), 'millrace-backlog-'))
  mkdirSync(parent, { recursive: true })
  const report = new Report(describeMachine())
  const bound = Number(values.memory)
  using limit = bound > 0 ? MemoryLimit.create(bound, (why) => report.remark(why)) : undefined
  report.remark(limit ? `memory bound to ${bound / 2 ** 20} MiB by ${limit.how}` : 'memory is not bound')
  try {
    if (values.only !== 'many') {
      await roomFor(parent, messages)
      await oneQueue(join(parent, 'one'), messages, limit, report)
    }
    if (values.only !== 'one') {
      await roomFor(parent, queues * each)
      await manyQueues(join(parent, 'many'), queues, each, limit, report)
    }
  } finally {
    if (values.directory === undefined) rmSync(parent, { recursive: true, force: true })
  }
  if (values.json) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`)
  if (values.check) process.exitCode = report.check() ? 0 : 1
}

async function roomFor(directory: string, messages: number): Promise<void> {
  const { bavail, bsize } = await statfs(directory)
  const [have, need] = [bavail * bsize, messages * BYTES_A_MESSAGE]
  if (have >= need) return
  throw new Error(
    `${directory} has ${Math.round(have / 2 ** 30)} GiB; ${Math.round(need / 2 ** 30)} are needed`,
  )
}

await main()
