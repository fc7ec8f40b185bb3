import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { suite, test } from 'node:test'
import { readManifest, readText } from '../../tools/house/repository.ts'
import { Shell } from './support.ts'

suite('a wrong command line: one line that says what to do, exit code 2, nothing touched', {
  concurrency: 2,
}, () => {
  const cases: [args: string, says: RegExp][] = [
    ['', /no command was given; 'millrace help'/],
    ['sned q a', /unknown command 'sned'; did you mean 'send'\?/],
    ['frobnicate', /unknown command 'frobnicate'; 'millrace help' lists them/],
    ['send q a --priorty 4', /unknown option --priorty; did you mean '--priority'\?/],
    ['send q a --xyzzy', /unknown option --xyzzy; 'millrace help'/],
    ['queues --follow', /queues has no option --follow; 'millrace queues --help'/],
    ['send', /send needs more; usage: millrace send QUEUE/],
    ['receive q r', /receive does not take 'r'; usage: millrace receive QUEUE/],
    ['queues q', /queues does not take 'q'/],
    ['send q a --url', /--url needs a value: --url URL/],
    ['send q a --ttl --follow', /--ttl needs a value; if --follow is meant, write --ttl=--follow/],
    ['receive q --follow=yes', /--follow takes no value/],
    ['receive q --count 0', /--count is a whole number from 1, not 0/],
    ['receive q --count 1e3', /--count is a whole number from 1, not 1e3/],
    ['receive q --timeout 5y', /--timeout is a time such as 250ms, 5s/],
    ['send q a --priority 10', /--priority is a whole number from 0 to 9, not 10/],
    ['send q a --durability dsk', /--durability is one of disk, os, memory, not dsk; did you mean 'disk'\?/],
    ['send q a --property colour', /--property is written NAME=VALUE, not colour/],
    ['send q a --file f', /bodies or --file, not both/],
    ['why', /why needs more/],
    ['doctor a b', /doctor does not take 'b'/],
    ['doctor a --url file:./b', /doctor takes a directory or --url, not both/],
    ['doctor --url memory:', /doctor reads a directory; memory: has none/],
  ]
  for (const [args, says] of cases) {
    test(`millrace ${args}`, async (t) => {
      const shell = new Shell(t)
      const words = args.split(' ').filter(Boolean)
      const { code, stdout, stderr } = await shell.here(
        ...words,
        ...(words.includes('--url') ? [] : [shell.at]),
      )
      assert.match(stderr, says)
      assert.match(stderr, /^millrace: .*\n$/, 'one line')
      assert.deepEqual({ code, stdout }, { code: 2, stdout: '' })
      assert.deepEqual(readdirSync(shell.folder), [])
    })
  }

  test('with --json the error is a document with the exit code', async (t) => {
    const shell = new Shell(t)
    const { code, stderr } = await shell.run('sned', '--json')
    const { error } = JSON.parse(stderr)
    assert.match(error.message, /unknown command/)
    assert.deepEqual({ code, exitCode: error.exitCode }, { code: 2, exitCode: 2 })
    assert.deepEqual(readdirSync(shell.folder), [])
  })
})

suite('what cannot be done: the code of an error and what to do, exit code 1', { concurrency: 2 }, () => {
  const cases: [args: string, says: RegExp][] = [
    ['send q a --url fiel:./x', /^millrace: url-invalid: .*known schemes are .*file:/],
    ['send q a --url ./x', /^millrace: url-invalid: /],
    ['send q --file missing.txt', /^millrace: argument-invalid: cannot read missing.txt: ENOENT/],
    ['send q --file .', /^millrace: argument-invalid: message 1: cannot read the input: EISDIR/],
    ['queues --url file:./typo', /^millrace: directory-unusable: there is no directory \.\/typo/],
    ['doctor typo', /^millrace: directory-unusable: there is no directory .*\/typo/],
    ['send q a --url file:/proc/millrace', /^millrace: directory-unusable: .*\/proc\/millrace/],
  ]
  for (const [args, says] of cases) {
    test(`millrace ${args}`, async (t) => {
      const shell = new Shell(t)
      const words = args.split(' ')
      const { code, stdout, stderr } = await shell.here(
        ...words,
        ...(words.includes('send') && !words.includes('--url') ? [shell.at] : []),
      )
      assert.match(stderr, says)
      assert.match(stderr, /^.*\n$/, 'one line')
      assert.deepEqual({ code, stdout }, { code: 1, stdout: '' })
      assert(!existsSync('typo'), 'a mistyped directory is not created')
    })
  }

  test('the default directory is ./millrace-data, and looking does not create it', async (t) => {
    const shell = new Shell(t)
    const { code, stderr } = await shell.run('browse', 'q')
    assert.equal(code, 1)
    assert.match(stderr, /^millrace: directory-unusable: there is no directory \.\/millrace-data/)
    assert.deepEqual(readdirSync(shell.folder), [])
  })

  test('a queue that is not there is not created by looking at it, and the right name is suggested', async (t) => {
    const shell = new Shell(t)
    await shell.ok('send', 'orders', 'a')
    for (const command of ['browse', 'receive']) {
      const { code, stderr } = await shell.here(command, 'ordesr', shell.at)
      assert.match(stderr, /^millrace: destination-not-found: .*'ordesr'; did you mean 'orders'\?\n$/)
      assert.equal(code, 1)
    }
    const { queues } = JSON.parse(await shell.ok('queues', '--json'))
    assert.deepEqual(
      queues.map(({ name }: { name: string }) => name),
      ['orders'],
    )
  })

  test('with --json the error is a document with code, message and retryable', async (t) => {
    const { stderr } = await new Shell(t).here('queues', '--json', '--url', 'file:./typo')
    const { error } = JSON.parse(stderr)
    assert.equal(error.code, 'directory-unusable')
    assert.equal(error.retryable, false)
  })
})

suite('help', { concurrency: 2 }, () => {
  test('the overview names every command and exit code, and prints to stdout', async (t) => {
    const shell = new Shell(t)
    const text = await shell.ok('help')
    assert.equal((await shell.here('--help')).stdout, text)
    for (const word of ['send', 'receive', 'browse', 'queues', 'why', 'doctor', '--url URL', '--json', '130'])
      assert(text.includes(word), word)
  })

  test('help of a command', async (t) => {
    const shell = new Shell(t)
    const { stdout: text } = await shell.here('help', 'send')
    assert.equal((await shell.here('send', '-h')).stdout, text)
    assert.match(text, /usage: millrace send QUEUE/)
  })

  test('--version is that of the package', async (t) => {
    const { version } = JSON.parse(readText('package.json'))
    assert.equal(await new Shell(t).ok('--version'), `${version}\n`)
    assert.match(readManifest().scripts['millrace']!, /node src\/cli\/main\.ts$/)
  })
})
