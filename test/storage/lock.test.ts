import { strict as assert } from 'node:assert'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { directoryOwner, lockDirectory } from '../../src/storage/lock.ts'

const root = await mkdtemp(join(tmpdir(), 'millrace-lock-'))
after(() => rm(root, { recursive: true, force: true }))

test('a directory has one owner, and the second is told which process it is', () => {
  const directory = join(root, 'made', 'on', 'the', 'way')
  const lock = lockDirectory(directory)
  assert.throws(() => lockDirectory(directory), {
    code: 'directory-locked',
    retryable: true,
    message: new RegExp(`process ${process.pid}\\b`),
  })
  assert.equal(directoryOwner(directory)?.pid, process.pid)
  lock.release()
  lock.release()
  assert.equal(directoryOwner(directory), undefined)
  lockDirectory(directory).release()
})

test('the kernel lets go of the lock when its owner is killed', async () => {
  const directory = join(root, 'killed')
  const lockModule = new URL('../../src/storage/lock.ts', import.meta.url).href
  const script = `
    import { lockDirectory } from ${JSON.stringify(lockModule)}
    lockDirectory(${JSON.stringify(directory)})
    process.stdout.write('locked')
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  assert.throws(() => lockDirectory(directory), { message: new RegExp(`process ${child.pid}\\b`) })
  child.kill('SIGKILL')
  await once(child, 'exit')
  lockDirectory(directory).release()
})

test('a directory that cannot be made or written is named, with the reason', async () => {
  const file = join(root, 'file')
  await writeFile(file, '')
  assert.throws(() => lockDirectory(join(file, 'below')), { code: 'directory-unusable', message: /ENOTDIR/ })
  const closed = join(root, 'closed')
  lockDirectory(closed).release()
  await chmod(closed, 0o500)
  // Root may write everywhere.
  if (process.getuid?.() !== 0) assert.throws(() => lockDirectory(closed), { code: 'directory-unusable' })
  await writeFile(join(root, 'lock.db'), 'this is no database, however long it is '.repeat(100))
  assert.throws(() => lockDirectory(root), { code: 'directory-unusable' })
})
