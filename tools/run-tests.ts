/**
 * `npm test`: every test file in a process of its own. They all compile the same sources, so what one has compiled the
 * others take from a cache; and many wait more than they work, so that two run at once.
 */
import { spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const given = process.argv.slice(2)
const files = given.length > 0 ? given : ['test/**/*.test.ts']
const env = { ...process.env, NODE_COMPILE_CACHE: join(tmpdir(), 'millrace-compile-cache') }
const options = ['--test', '--test-concurrency=2', '--test-timeout=300000']
const { status } = spawnSync(process.execPath, [...options, ...files], { env, stdio: 'inherit' })
process.exitCode = status ?? 1
