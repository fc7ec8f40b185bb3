import { strict as assert } from 'node:assert'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { DiskIo } from '../../src/storage/disk-io.ts'
import { NodeDisk } from '../../src/storage/node-disk.ts'
import { FaultyDisk } from '../../src/testing/faulty-disk.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'
import { passUntil } from './support.ts'

const root = await mkdtemp(join(tmpdir(), 'millrace-disk-'))
after(() => rm(root, { recursive: true, force: true }))

test('files are made with the folders above them, written, read, cut, renamed and removed', async () => {
  const io = new DiskIo(new NodeDisk(join(root, 'data')))
  assert.deepEqual(await io.list(''), [])
  const { file } = await io.open('deep/folder/file', 'create')
  await io.write(file, [Buffer.from('hello '), Buffer.alloc(0), Buffer.from('world')], 3)
  await io.sync(file)
  assert.equal((await io.read(file, 3, 100)).toString(), 'hello world')
  assert.equal((await io.read(file, 14, 10)).length, 0)
  await io.truncate(file, 8)
  await io.close(file)
  assert.deepEqual(await io.list('deep/folder'), [{ name: 'file', size: 8 }])
  await io.rename('deep/folder/file', 'deep/other')
  const again = await io.open('deep/other', 'write')
  assert.equal(again.size, 8)
  assert.equal((await io.read(again.file, 0, 8)).toString('latin1'), '\0\0\0hello')
  await io.close(again.file)
  assert.equal((await io.open('deep/other', 'create')).size, 0)
  await io.remove('deep/other')
  await io.remove('deep/other')
  assert.deepEqual(await readdir(join(root, 'data', 'deep')), ['folder'])
})

test('a large file loses its name, then its content bit by bit', async () => {
  const clock = new VirtualClock()
  const disk = new FaultyDisk(clock, new SeededRandom(1))
  const io = new DiskIo(disk.mount())
  disk.place('large', Buffer.alloc(7 * 2 ** 20))
  const seen: string[] = []
  disk.observer = (operation) => seen.push(operation)
  await passUntil(clock, io.removeInPieces('large'))
  assert.deepEqual(seen, ['open', 'remove', 'truncate', 'truncate', 'truncate', 'close'])
  assert.deepEqual(disk.paths(), [])
  await passUntil(clock, io.removeInPieces('large'))
})

test('errors carry the code of the system', async () => {
  const io = new DiskIo(new NodeDisk(root))
  await assert.rejects(io.open('absent', 'read'), { code: 'ENOENT' })
  await assert.rejects(io.open('absent', 'write'), { code: 'ENOENT' })
  await assert.rejects(io.rename('absent', 'other'), { code: 'ENOENT' })
})

test('a write of more buffers than one system call takes is written whole', async () => {
  const io = new DiskIo(new NodeDisk(root))
  const { file } = await io.open('many', 'create')
  const buffers = Array.from({ length: 5000 }, (_, i) => Buffer.from(`${i},`))
  await io.write(file, buffers, 0)
  const all = Buffer.concat(buffers)
  assert.deepEqual(await io.read(file, 0, all.length), all)
  await io.close(file)
})

test('free space is a number of bytes', async () => {
  const io = new DiskIo(new NodeDisk(root))
  assert.ok((await io.free()) > 0)
})
