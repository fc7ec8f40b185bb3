import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { Engine, QueueStatus } from '../../src/engine/api.ts'
import { connect as connectEmbedded, queue } from '../../src/index.ts'
import { MillraceError } from '../../src/model/errors.ts'
import { Authenticator } from '../../src/server/auth/authenticator.ts'
import { UserPermissions } from '../../src/server/auth/user-permissions.ts'
import { liveness, readiness, type Vitals } from '../../src/server/health.ts'
import type { Asked } from '../../src/server/http/http-server.ts'
import { type PagesHome, pages } from '../../src/server/http/pages.ts'
import { ALL, folder, Log, type Page, receive, Served, send, user } from './support.ts'

function vitals(sick: {
  queues?: [name: string, held: number][]
  failure?: string
  diskFull?: boolean
  stopping?: boolean
}): Vitals {
  const statuses = (sick.queues ?? []).map(
    ([name, held]) => ({ definition: { name }, held }) as unknown as QueueStatus,
  )
  return {
    engine: { queues: () => statuses } as Partial<Engine> as Engine,
    failure: () => (sick.failure ? new MillraceError('journal-failed', sick.failure) : undefined),
    diskFull: () => sick.diskFull ?? false,
    stopping: () => sick.stopping ?? false,
  }
}

suite('health', () => {
  const cases: [
    what: string,
    sick: Parameters<typeof vitals>[0],
    live: string,
    ready: string,
    codes: string[],
  ][] = [
    ['nothing wrong', { queues: [['q', 0]] }, 'ok', 'ok', []],
    ['the journal has failed', { failure: 'EIO' }, 'unavailable', 'unavailable', ['journal-failed']],
    ['the disk is full', { diskFull: true }, 'ok', 'unavailable', ['disk-full']],
    [
      'publishers wait',
      {
        queues: [
          ['q', 2],
          ['r', 0],
        ],
      },
      'ok',
      'unavailable',
      ['queue-full'],
    ],
    ['it is shutting down', { stopping: true }, 'ok', 'unavailable', ['stopping']],
  ]
  for (const [what, sick, live, ready, codes] of cases) {
    test(what, () => {
      const answer = readiness(vitals(sick))
      assert.deepEqual([liveness(vitals(sick)).status, answer.status], [live, ready])
      assert.deepEqual(
        answer.reasons.map(({ code }) => code),
        codes,
      )
    })
  }

  test('names the queues that are full, ten of them', () => {
    const queues = Array.from({ length: 12 }, (_, index): [string, number] => [`q${index}`, 1])
    const [reason] = readiness(vitals({ queues })).reasons
    assert.equal(reason!.queues!.length, 10)
    assert.match(reason!.message, /^12 queues are full/)
  })
})

suite('HTTP', () => {
  test('health is green', async (t) => {
    const served = await Served.start(t)
    const { status, body, headers } = await served.get('/health')
    assert.deepEqual([status, JSON.parse(body)], [200, { status: 'ok', reasons: [] }])
    assert.equal(headers['content-type'], 'application/json')
    assert.deepEqual(
      [(await served.get('/health/ready')).status, (await served.get('/health/live')).status],
      [200, 200],
    )
  })

  test('red while a full queue makes publishers wait, and green again', async (t) => {
    const data = folder(t)
    const mq = await connectEmbedded(`file:${data}`)
    await mq.send(queue('full', { policy: { maxMessages: 1 } }), 'first')
    await mq.close()
    const served = await Served.start(t, { data })
    const connection = await served.connect(t)
    const waiting = send(connection, 'full', { body: 'second' })
    let page: Page
    do page = await served.get('/health')
    while (page.status === 200)
    const { reasons } = JSON.parse(page.body)
    assert.deepEqual([page.status, reasons[0].code, reasons[0].queues], [503, 'queue-full', ['full']])
    assert.equal((await served.get('/health/live')).status, 200)
    await receive(connection, 'full', 1)
    assert.equal(await waiting, 'accepted')
    do page = await served.get('/health')
    while (page.status === 503)
  })

  test('the metrics are the text format of Prometheus, and count', async (t) => {
    const served = await Served.start(t)
    const connection = await served.connect(t)
    assert.equal(await send(connection, 'a"b\\c', { body: 'x' }), 'accepted')
    assert.equal(await send(connection, 'a"b\\c', { body: 'y' }), 'accepted')
    await receive(connection, 'a"b\\c', 1)
    const { status, body, headers } = await served.get('/metrics')
    assert.equal(status, 200)
    assert.match(String(headers['content-type']), /^text\/plain; version=0\.0\.4/)
    for (const line of body.trimEnd().split('\n')) {
      assert.match(
        line,
        /^# (HELP|TYPE) millrace_\w+ .+$|^millrace_\w+(\{(\w+="([^"\\\n]|\\["\\n])*",?)+\})? \d+(\.\d+)?(e[+-]?\d+)?$/,
      )
    }
    const wanted = [
      'millrace_queue_published_total{queue="a\\"b\\\\c"} 2',
      'millrace_queue_delivered_total{queue="a\\"b\\\\c"} 1',
      'millrace_connections 1',
      'millrace_connections_accepted_total 1',
      'millrace_disk_writable 1',
    ]
    for (const line of wanted) assert(body.split('\n').includes(line), `${line} in\n${body}`)
    assert.match(body, /\nmillrace_received_bytes_total [1-9]\d+\n/)
    assert.match(body, /\nmillrace_event_loop_delay_seconds\{quantile="0.99"\} \d/)
  })

  test('only GET, only its own paths, only under its own names', async (t) => {
    const served = await Served.start(t, { httpNames: ['broker.example.org'] })
    const foreign = await served.get('/metrics', { host: 'evil.example:8161' })
    assert.equal(foreign.status, 421)
    assert.match(foreign.body, /http\.names/)
    assert.equal((await served.get('/metrics', { host: 'broker.example.org' })).status, 200)
    assert.equal((await served.get('/nothing')).status, 404)
    const post = await served.get('/health', {}, 'POST')
    assert.deepEqual([post.status, post.headers.allow], [405, 'GET, HEAD'])
    assert.deepEqual(
      [(await served.get('/health', {}, 'HEAD')).body, (await served.get('/health?x')).status],
      ['', 200],
    )
  })

  test('a request that does not end is not waited for', async (t) => {
    const served = await Served.start(t)
    const huge = await served.get('/health', { padding: 'x'.repeat(10_000) })
    assert.equal(huge.status, 431)
  })
})

suite('metrics for other machines', () => {
  const asked = { remote: '10.0.0.1:5', local: false, secure: true, authorization: undefined }
  const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`

  test('need TLS and a user who may manage', async () => {
    const users = [
      await user('ada', 'right: é', ALL),
      await user('bob', 'right', [{ operations: ['send'], destination: '#', kind: undefined }]),
    ]
    const metrics = { page: () => 'page' } as unknown as PagesHome['metrics']
    const home = {
      vitals: vitals({}),
      metrics,
      authenticator: new Authenticator(users, new Log()),
      permissions: new UserPermissions(users),
      counts: () => ({}) as never,
    }
    const { answer } = pages(home).get('/metrics')!
    const cases: [Partial<Asked>, number][] = [
      [{ local: true, secure: false }, 200],
      [{ secure: false, authorization: basic('ada:right: é') }, 403],
      [{}, 401],
      [{ authorization: 'Bearer x' }, 401],
      [{ authorization: basic('ada:wrong') }, 401],
      [{ authorization: basic('bob:right') }, 403],
      [{ authorization: basic('ada:right: é') }, 200],
    ]
    for (const [given, status] of cases)
      assert.equal((await answer({ ...asked, ...given })).status, status, JSON.stringify(given))
  })
})
