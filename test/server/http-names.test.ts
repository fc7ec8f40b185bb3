import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isOurs } from '../../src/server/http/host-names.ts'
import { isLoopback } from '../../src/server/loopback.ts'

test('loopback, in all ways that it is written, and nothing that merely looks like it', () => {
  const loopback = ['127.0.0.1', '127.9.9.9', '::1', 'localhost', 'LOCALHOST', '::ffff:127.0.0.1']
  const wide = ['0.0.0.0', '::', '10.0.0.1', '127.0.0.1.example.org', '127.evil', '', '::ffff:10.0.0.1']
  for (const host of loopback) assert.equal(isLoopback(host), true, host)
  for (const host of wide) assert.equal(isLoopback(host), false, host)
})

test('a request is ours under a name of loopback, an address it came to, or a name that is configured', () => {
  const names = ['broker.example.org']
  const ours = [
    'localhost',
    'localhost:8161',
    '127.0.0.1:8161',
    '[::1]:8161',
    'Broker.Example.org:1',
    '10.0.0.7:8161',
  ]
  const foreign = [
    undefined,
    '',
    'evil.example',
    'evil.example:8161',
    'localhost.evil.example',
    '10.0.0.8',
    'a:b:c',
    '[::1',
  ]
  for (const host of ours) assert.equal(isOurs(host, names, '::ffff:10.0.0.7'), true, host)
  for (const host of foreign) assert.equal(isOurs(host, names, '10.0.0.7'), false, host)
})
