import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { suite, test } from 'node:test'
import { runCommandLine } from '../../src/cli/run.ts'
import { Shell } from './support.ts'

suite('signals, closed pipes and directories of others', { concurrency: 2 }, () => {
  test('SIGINT ends --follow cleanly: exit code 0, what was printed is gone, the directory is free', async (t) => {
    const shell = new Shell(t)
    await shell.ok('send', 'q', 'a', 'b')
    const running = shell.start('receive', 'q', '--follow')
    await running.printed(2)
    running.child.kill('SIGINT')
    const { code, signal, stdout, stderr } = await running.ended
    assert.deepEqual(
      { code, signal, stdout, stderr },
      { code: 0, signal: null, stdout: 'a\nb\n', stderr: '' },
    )
    assert.equal((await shell.run('receive', 'q')).code, 3)
  })

  test('--follow may come before its queue does', async (t) => {
    const shell = new Shell(t)
    const running = shell.start('receive', 'later', '--follow')
    await running.started()
    running.child.kill('SIGTERM')
    assert.equal((await running.ended).code, 0)
  })

  test('SIGINT during send: exit code 130, says how many were confirmed, and those are there', async (t) => {
    const shell = new Shell(t)
    const running = shell.start('send', 'q', '--json')
    running.child.stdin!.write('a\nb\n')
    await running.printed(2)
    running.child.kill('SIGINT')
    const { code, stderr } = await running.ended
    assert.equal(code, 130)
    assert.match(stderr, /stopped; 2 messages confirmed/)
    assert.equal(await shell.ok('receive', 'q'), 'a\nb\n')
  })

  test('a reader that goes away (| head -1) is no error, and what it was not given stays', async (t) => {
    const shell = new Shell(t)
    const text = Array.from({ length: 5_000 }, (_, index) => `${index} ${'x'.repeat(500)}\n`).join('')
    await shell.feed(text, 'send', 'q')
    const running = shell.start('receive', 'q')
    await once(running.child.stdout!, 'data')
    running.child.stdout!.destroy()
    const { code, stderr } = await running.ended
    assert.deepEqual({ code, stderr }, { code: 0, stderr: '' })
    const left = (await shell.ok('receive', 'q')).split('\n').length - 1
    assert(left > 0 && left < 5_000, `${left} left`)
  })

  test('a message is acknowledged after it was written: when the third write fails, two are gone', async (t) => {
    const shell = new Shell(t)
    await shell.okHere('send', 'q', 'a', 'b', 'c', 'd', 'e')
    let writes = 0
    const stdout = new Writable({
      write: (_chunk, _encoding, done) =>
        done(++writes === 3 ? Object.assign(new Error('broken pipe'), { code: 'EPIPE' }) : null),
    })
    const streams = { stdin: Readable.from([]), stdout, stderr: process.stderr }
    const code = await runCommandLine(['receive', 'q', shell.at], new AbortController().signal, streams)
    assert.equal(code, 0)
    assert.equal(await shell.okHere('receive', 'q'), 'c\nd\ne\n')
  })

  test('a command works beside a program that has the directory open', async (t) => {
    const shell = new Shell(t)
    const owner = shell.start('receive', 'nothing', '--follow')
    await owner.started()
    await shell.ok('send', 'q', 'a')
    assert.equal(await shell.ok('receive', 'q'), 'a\n')
    owner.child.kill('SIGINT')
    await owner.ended
  })

  test('a killed owner leaves the directory free', async (t) => {
    const shell = new Shell(t)
    await shell.ok('send', 'q', 'a')
    const owner = shell.start('receive', 'nothing', '--follow')
    await owner.started()
    owner.child.kill('SIGKILL')
    await owner.ended
    assert.equal(await shell.ok('receive', 'q'), 'a\n')
  })

  test('a directory that cannot be written, and a file in its place', async (t) => {
    const shell = new Shell(t)
    writeFileSync(join(shell.folder, 'file'), 'x')
    const taken = await shell.run('send', 'q', 'a', '--url', 'file:./file')
    assert.match(taken.stderr, /^millrace: directory-unusable: .*\n$/)
    assert.equal(taken.code, 1)
    if (process.getuid?.() === 0) return t.diagnostic('as root every directory can be written')
    mkdirSync(join(shell.folder, 'closed'))
    chmodSync(join(shell.folder, 'closed'), 0o500)
    const closed = await shell.run('send', 'q', 'a', '--url', 'file:./closed')
    assert.match(closed.stderr, /^millrace: directory-unusable: .*\n$/)
  })
})
