import assert from 'node:assert/strict'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { connect, queue } from '../../src/index.ts'
import { documents, Shell } from './support.ts'

suite('why', { concurrency: 2 }, () => {
  test('finds a ready message by the id that browse prints, and by its message id', async (t) => {
    const shell = new Shell(t)
    await shell.ok('send', 'orders', 'first', 'second\u001b[2J')
    const [, second] = documents(await shell.ok('browse', 'orders', '--json'))
    const text = await shell.ok('why', String(second!['id']))
    assert.match(text, new RegExp(`^${second!['id']} \\(${second!['messageId']}\\)\\n {2}queue +orders\\n`))
    assert.match(text, /state +ready, and no consumer is connected to the queue\n/)
    assert.match(text, /body +second\\u001b\[2J\n/, 'a body cannot move the cursor')
    assert.equal(await shell.ok('why', String(second!['messageId'])), text)
  })

  test('a message that waits for its redelivery says how often it failed and when it comes again', async (t) => {
    const shell = new Shell(t)
    await fail(
      shell,
      queue('jobs', { policy: { backoff: { delay: '1h', maxDelay: '1h' } } }),
      'no such customer',
    )
    const [waiting] = documents(await shell.ok('browse', 'jobs', '--json'))
    assert.equal(waiting!['state'], 'waiting')
    assert.match(
      await shell.ok('why', String(waiting!['id'])),
      /state +failed 1 time, and waits .* at \d{4}-.*Z\n/,
    )
    const { found } = JSON.parse((await shell.here('why', String(waiting!['id']), '--json', shell.at)).stdout)
    assert.deepEqual(
      [found.length, found[0].queue, found[0].state, found[0].failures],
      [1, 'jobs', 'waiting', 1],
    )
    assert(Date.parse(found[0].due) > Date.now())
  })

  test('a dead letter is found by the id it had before, with origin, reason and history', async (t) => {
    const shell = new Shell(t)
    const before = await fail(shell, queue('jobs', { policy: { maxDeliveries: 1 } }), 'no such customer')
    const text = await shell.ok('why', before)
    assert.match(text, /^\d+ \(ID:.*\)\n {2}queue +jobs\.dlq\n/)
    assert.match(text, new RegExp(`origin +jobs, where it was ${before}\\n`))
    assert.match(
      text,
      new RegExp(
        `\\n${before} .*\\n {2}queue +jobs\\n.*\\n {2}left +jobs: dead-lettered, and became \\d+\\n$`,
      ),
    )
    assert.match(text, /left +jobs at .* after 1 delivery, 1 failure; max-deliveries: no such customer\n/)
    const { found } = JSON.parse((await shell.here('why', before, '--json', shell.at)).stdout)
    assert.equal(found[0].message.deadLetter.reason, 'max-deliveries')
  })

  test('a message that was accepted: the journal says so, by either id, and reading it changes nothing', async (t) => {
    const shell = new Shell(t)
    await shell.ok('send', 'orders', 'a', 'b')
    const [message] = documents(await shell.ok('receive', 'orders', '--count', '1', '--json'))
    for (const id of [String(message!['id']), String(message!['messageId'])]) {
      assert.match(
        await shell.ok('why', id),
        /^\d+ \(ID:.*\)\n {2}queue +orders\n.*\n {2}left +orders: accepted\n$/,
      )
      const { found, left } = JSON.parse((await shell.here('why', id, '--json', shell.at)).stdout)
      assert.deepEqual(
        [found, left.length, left[0].departures],
        [[], 1, [{ queue: 'orders', departure: 'accepted' }]],
      )
    }
  })

  test('what nobody knows: exit code 3', async (t) => {
    const shell = new Shell(t)
    await shell.ok('send', 'orders', 'a')
    for (const id of ['0', '-1', '99999999999999999999', 'ID:none', 'x'.repeat(300)]) {
      const { code, stdout } = await shell.here('why', shell.at, '--', id)
      assert.equal(code, 3)
      assert.match(stdout, /^no queue holds /)
    }
    const { code, stdout } = await shell.here('why', 'ID:none', '--json', shell.at)
    assert.deepEqual([code, JSON.parse(stdout)], [3, { id: 'ID:none', found: [], left: [] }])
  })
})

/** Sends a message, lets its only consumer fail, and answers what the broker called it. */
async function fail(shell: Shell, destination: ReturnType<typeof queue>, reason: string): Promise<string> {
  await using mq = await connect(`file:${join(shell.folder, 'millrace-data')}`)
  await mq.send(destination, 'work')
  const message = await mq.receive(destination)
  await message!.fail(reason)
  return message!.brokerId
}
