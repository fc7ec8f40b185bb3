import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, type TestContext, test } from 'node:test'
import { suggestion } from '../../src/cli/nearest.ts'
import { type ConfigurationSources, readConfiguration } from '../../src/server/config/configuration.ts'
import {
  type Configuration,
  defaultOf,
  flagOf,
  settingKeys,
  settings,
  settingsByFlag,
  variableOf,
} from '../../src/server/config/settings.ts'
import { readText } from '../../tools/house/repository.ts'
import { Served, send } from './support.ts'

function folder(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-configuration-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

function sources(directory: string, given: Partial<ConfigurationSources> = {}): ConfigurationSources {
  return { flags: new Map(), environment: {}, file: undefined, directory, suggest: suggestion, ...given }
}

/** With this text as millrace.yaml. */
function readFile(t: TestContext, text: string, given: Partial<ConfigurationSources> = {}): Configuration {
  const directory = folder(t)
  writeFileSync(join(directory, 'millrace.yaml'), text)
  return readConfiguration(sources(directory, given))
}

const LINE = `scrypt$32768$8$1$${'A'.repeat(22)}==$${'A'.repeat(43)}=`

suite('where settings come from', () => {
  test('without anything, all have their defaults, and AMQP and HTTP are on loopback', (t) => {
    const configuration = readConfiguration(sources(folder(t)))
    for (const key of settingKeys) assert.deepEqual(configuration[key], settings[key].fallback, key)
    assert.deepEqual([configuration.host, configuration.httpHost], ['127.0.0.1', '127.0.0.1'])
  })

  test('a flag goes before the environment, and that before the file', (t) => {
    const text = 'host: file\nhttp:\n  port: 1\nlog: { level: warn }\n'
    const configuration = readFile(t, text, {
      flags: new Map([['host', 'flag']]),
      environment: { MILLRACE_HOST: 'variable', MILLRACE_HTTP_PORT: '2', OTHER: 'x' },
    })
    const { host, httpPort, logLevel } = configuration
    assert.deepEqual({ host, httpPort, logLevel }, { host: 'flag', httpPort: 2, logLevel: 'warn' })
  })

  test('every setting can be given in each of its ways', (t) => {
    const samples: Readonly<Record<string, [text: string, value: unknown]>> = {
      PORT: ['7', 7],
      DIR: ['/d', '/d'],
      FILE: ['/f', '/f'],
      PATTERN: ['Orders.#', 'Orders.#'],
      HOST: ['h', 'h'],
      N: ['5', 5],
      SIZE: ['2MiB', 2 * 1024 * 1024],
      TIME: ['3s', 3_000],
      'true|false': ['true', true],
      'NAME,…': ['a,b', ['a', 'b']],
      'debug|info|warn|error': ['error', 'error'],
      'text|json': ['json', 'json'],
    }
    const directory = folder(t)
    for (const [flag, key] of settingsByFlag) {
      const { path, kind } = settings[key]
      const [text, value] = samples[kind.placeholder]!
      assert.equal(flag, flagOf(path))
      const given: Partial<ConfigurationSources>[] = [
        { flags: new Map([[key, text]]) },
        { environment: { [variableOf(path)]: text } },
      ]
      for (const one of given)
        assert.deepEqual(
          readConfiguration(sources(directory, one))[key],
          value,
          `${path} ${JSON.stringify(one)}`,
        )
      const nested = path.split('.').reduceRight<unknown>((below, part) => ({ [part]: below }), value)
      writeFileSync(join(directory, 'x.yaml'), JSON.stringify(nested))
      assert.deepEqual(readConfiguration(sources(directory, { file: 'x.yaml' }))[key], value, path)
    }
  })

  test('files that the file names lie beside it', (t) => {
    const directory = folder(t)
    writeFileSync(join(directory, 'm.yaml'), 'data: here\ntls: { cert: a.pem, key: /b.pem }')
    const { data, tlsCert, tlsKey } = readConfiguration(
      sources('/', { environment: { MILLRACE_CONFIG: join(directory, 'm.yaml') } }),
    )
    const wanted = { data: join(directory, 'here'), tlsCert: join(directory, 'a.pem'), tlsKey: '/b.pem' }
    assert.deepEqual({ data, tlsCert, tlsKey }, wanted)
  })

  test('memory: is no directory beside the file', (t) => {
    assert.equal(readFile(t, "data: 'memory:'").data, 'memory:')
  })

  test('port 0 frees the ports that are not given', (t) => {
    const flags = new Map([['port', '0'] as const])
    const { port, tlsPort, httpPort } = readFile(t, 'http: { port: 9 }', { flags })
    assert.deepEqual({ port, tlsPort, httpPort }, { port: 0, tlsPort: 0, httpPort: 9 })
  })

  test('off, also as YAML 1.1 reads it', (t) => {
    const { port, httpPort } = readFile(t, 'port: off\nhttp: { port: false }')
    assert.deepEqual({ port, httpPort }, { port: 'off', httpPort: 'off' })
  })

  test('what Kubernetes says of a service called millrace is not for us', (t) => {
    const environment = {
      MILLRACE_PORT: 'tcp://10.0.0.1:5672',
      MILLRACE_SERVICE_HOST: '10.0.0.1',
      MILLRACE_PORT_5672_TCP_ADDR: '10.0.0.1',
    }
    assert.equal(readConfiguration(sources(folder(t), { environment })).port, 5672)
  })

  test('users with their permissions', (t) => {
    const text = `users:
  - name: a
    password: ${LINE}
    permissions: [{ operations: all, destination: '#' }, { operations: send, destination: x, kind: queue }]`
    const [user] = readFile(t, text).users
    assert.equal(user!.name, 'a')
    assert.equal(user!.credentials.scrypt!.cost, 32768)
    assert.deepEqual(user!.permissions[0]!.operations.length, 6)
    assert.deepEqual(user!.permissions[1], { operations: ['send'], destination: 'x', kind: 'queue' })
  })
})

test('policies of millrace.yaml are what queues get that are created by being named', async (t) => {
  const { policies } = readFile(
    t,
    `policies:
  - { match: orders.*, maxMessages: 5, maxDeliveries: .inf, deadLetter: false, expired: late }
  - match: '#'
    ttl: 1h
    backoff: { delays: [1s, 10s] }`,
  )
  assert.deepEqual(policies[0]!.policy, {
    maxMessages: 5,
    maxDeliveries: undefined,
    deadLetter: undefined,
    expired: 'late',
  })
  const served = await Served.start(t, { policies })
  const connection = await served.connect(t)
  for (const name of ['orders.new', 'else']) await send(connection, name, { durable: true, body: 'x' })
  const mq = await served.server.client()
  const reports = await mq.management.queues()
  await mq.close()
  const [orders, other] = ['orders.new', 'else'].map(
    (name) => reports.find((each) => each.name === name)!.policy,
  )
  assert.deepEqual([orders!.maxMessages, orders!.expired, other!.maxMessages], [5, 'late', undefined])
  assert.deepEqual([other!.ttl, other!.backoff.delays], [3_600_000, [1_000, 10_000]])
})

suite('one clear error per mistake', () => {
  const user = (rest: string) => `users:\n  - ${rest}`
  const inFile: [text: string, says: RegExp][] = [
    ['prot: 5', /^millrace\.yaml: there is no setting prot; did you mean 'port'\?$/],
    ['limits: { maxLink: 5 }', /no setting limits\.maxLink; did you mean 'limits\.maxLinks'\?/],
    ['xyzzy: 1', /no setting xyzzy; docs\/server\.md lists/],
    ['port: 70000', /^millrace\.yaml: port is a port from 0 to 65535 .*, not 70000$/],
    ['port: "5672x"', /port is a port .*, not "5672x"/],
    ['tls: yes.pem', /millrace\.yaml: tls has keys such as cert; it is "yes\.pem"/],
    ['[]', /^millrace\.yaml has keys such as data; it is \[\]/],
    ['limits: { maxLinks: 0 }', /limits\.maxLinks is from 1 to 65536, not 0/],
    ['limits: { maxMessageBytes: 8MB }', /a size such as 64KiB, 16MiB or 1GiB.*not "8MB"/],
    ['shutdown: { timeout: soon }', /shutdown\.timeout is a time such as 500ms.*not "soon"/],
    ['log: { level: loud }', /log\.level is one of debug, info, warn, error, not "loud"/],
    ['http: { tls: perhaps }', /http\.tls is true or false, not "perhaps"/],
    ['a: [', /^millrace\.yaml is not YAML: .* at line 1/],
    ['policies: { match: a }', /policies is a list of rules, each with match and what queues/],
    ['policies: [{ ttl: 1s }]', /policies\[0\]\.match is a name or a pattern such as .*, not nothing/],
    ['policies: [{ match: a, tll: 1s }]', /policies\[0\] has the keys match, ttl, .*, and no tll/],
    ['policies: [{ match: a, ttl: soon }]', /policies\[0\] of a: "soon" is not a duration/],
    ['policies: [{ match: a, maxMessages: x }]', /policies\[0\] of a: maxMessages is a whole number/],
    ['policies: [{ match: a, backoff: { delays: [] } }]', /backoff\.delays is a list of 1 to 100 durations/],
    ['policies: [{ match: a, backoff: { dela: 1 } }]', /policies\[0\]\.backoff has the keys .*no dela/],
    [
      'policies: [{ match: a, deadLetter: true }]',
      /a: deadLetter is the name of a queue such as .*, not true/,
    ],
    ['users: alice', /users is a list of users, each with name, password and permissions, not "alice"/],
    [user('name: a'), /users\[0\]\.password of a is not what 'millrace passwd' prints/],
    [user('{ name: a, password: secret }'), /users\[0\]\.password of a is not what 'millrace passwd' prints/],
    [user('{ password: x }'), /users\[0\]\.name is missing/],
    [user(`{ name: a, password: "${LINE}" }`), /users\[0\]\.permissions of a is a list such as/],
    [user(`{ name: a, pasword: x }`), /users\[0\] has the keys name, password, permissions, and no pasword/],
    [
      user(`{ name: a, password: "${LINE}", permissions: [{ operations: [fly], destination: x }] }`),
      /permissions\[0\]\.operations is 'all' or a list of send, receive, .*, not \["fly"\]/,
    ],
    [
      user(`{ name: a, password: "${LINE}", permissions: [{ operations: send }] }`),
      /permissions\[0\]\.destination is a name or a pattern such as .*, not nothing/,
    ],
    [
      [
        'users:',
        ...['a', 'a'].map(
          (name) =>
            `  - { name: ${name}, password: "${LINE}", permissions: [{ operations: all, destination: x }] }`,
        ),
      ].join('\n'),
      /users\[1\]\.name is taken/,
    ],
  ]
  for (const [text, says] of inFile) {
    test(`millrace.yaml: ${text.replaceAll('\n', ' ').slice(0, 70)}`, (t) => {
      assert.throws(
        () => readFile(t, text),
        (error: Error & { code?: string }) => {
          assert.equal(error.code, 'argument-invalid')
          assert.match(error.message, says)
          assert.doesNotMatch(error.message, /\n|secret/, 'one line, and no password')
          return true
        },
      )
    })
  }

  test('a flag and a variable are named as they were given', (t) => {
    const directory = folder(t)
    assert.throws(
      () => readConfiguration(sources(directory, { flags: new Map([['limitsMaxLinks', 'x']]) })),
      /^MillraceError: --limits-max-links is from 1 to 65536, not "x"/,
    )
    assert.throws(
      () => readConfiguration(sources(directory, { environment: { MILLRACE_LIMITS_MAX_LINKS: 'x' } })),
      /^MillraceError: MILLRACE_LIMITS_MAX_LINKS is from 1/,
    )
    assert.throws(
      () => readConfiguration(sources(directory, { environment: { MILLRACE_PROT: '1' } })),
      /MILLRACE_PROT is no setting; did you mean 'MILLRACE_PORT'\?/,
    )
  })

  test('a file that was asked for must be there', (t) => {
    assert.throws(
      () => readConfiguration(sources(folder(t), { file: 'no.yaml' })),
      /cannot read the configuration no\.yaml: ENOENT/,
    )
  })
})

test('docs/server.md has the table of settings as it is', () => {
  const rows = [...readText('docs/server.md').matchAll(/^\| `([a-zA-Z.]+)` \| (?:`(.*)`)? \| (.*) \|$/gm)]
  const shown = rows.map(([, path, fallback, help]) => [path, fallback, help])
  const wanted = settingKeys.map((key) => [settings[key].path, defaultOf(key), settings[key].help])
  assert.deepEqual(shown, wanted)
})
