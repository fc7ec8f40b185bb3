import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { checkArrows } from '../../tools/house/arrows.ts'
import { checkBans } from '../../tools/house/bans.ts'
import { checkCommitted } from '../../tools/house/committed.ts'
import { checkGraph, findCircles } from '../../tools/house/graph.ts'
import { readLayers } from '../../tools/house/layers.ts'
import { checkLockfile } from '../../tools/house/lockfile.ts'
import {
  checkCommands,
  checkDecisions,
  checkErrorPages,
  checkLinks,
  checkScripts,
  checkTranslation,
} from '../../tools/house/pages.ts'
import { checkSizes, quantile } from '../../tools/house/sizes.ts'
import { readSource, type Source, type Violation } from '../../tools/house/source.ts'

// Each rule is fed something bad and must object, and something good beside it and must not: a rule that cannot fail
// proves nothing.

const layers = readLayers()

function rules(violations: readonly Violation[]): string[] {
  return violations.map(({ rule, line }) => `${rule}:${line}`)
}

function arrows(path: string, text: string): string[] {
  return rules(checkArrows(readSource(path, text), layers, new Set(['zod', '@scope/known'])))
}

function bans(path: string, text: string): string[] {
  return rules(checkBans(readSource(path, text), layers))
}

suite('arrows', () => {
  const objected: [why: string, path: string, text: string][] = [
    ['model imports nothing', 'src/model/a.ts', "import { b } from '../engine/b.ts'"],
    ['types are imports too', 'src/wire/a.ts', "import type { B } from '../engine/b.ts'"],
    ['re-exports are imports too', 'src/wire/a.ts', "export * from '../client/b.ts'"],
    ['so is import()', 'src/client/a.ts', "await import('../embedded/b.ts')"],
    ['so is a type in brackets', 'src/client/a.ts', "let b: import('../engine/b.ts').B"],
    ['so is a worker', 'src/client/a.ts', "new URL('../engine/worker.ts', import.meta.url)"],
    ['storage sees ports, not the engine', 'src/storage/a.ts', "import { b } from '../engine/broker.ts'"],
    ['nobody imports testing', 'src/server/a.ts', "import { b } from '../testing/b.ts'"],
    ['src stays in src', 'src/testing/a.ts', "import { b } from '../../test/b.ts'"],
    ['engine has no node: modules', 'src/engine/a.ts', "import { join } from 'node:path'"],
    ['storage touches files only in node-disk.ts', 'src/storage/a.ts', "import fs from 'node:fs'"],
    ['built-in modules carry their prefix', 'src/client/a.ts', "import fs from 'fs'"],
    ['packages must be dependencies', 'src/client/a.ts', "import fc from 'fast-check'"],
    ['rooms must be known', 'src/attic/a.ts', ''],
  ]
  for (const [why, path, text] of objected)
    test(`objects: ${why}`, () => assert.deepEqual(arrows(path, text), ['arrows:1']))

  const fine: [path: string, text: string][] = [
    ['src/engine/a.ts', "import { b } from '../model/b.ts'"],
    ['src/engine/index/a.ts', "import { b } from '../routing/b.ts'"],
    ['src/storage/a.ts', "import type { Store } from '../engine/ports/store.ts'"],
    ['src/storage/a.ts', "import { crc32 } from 'node:zlib'"],
    ['src/storage/node-disk.ts', "import fs from 'node:fs'"],
    ['src/storage/lock.ts', "import { DatabaseSync } from 'node:sqlite'"],
    ['src/testing/a.ts', "import { b } from '../engine/b.ts'"],
    ['src/index.ts', "export * from './client/b.ts'"],
    ['src/cli/main.ts', "import { connect } from '../index.ts'"],
    ['src/server/a.ts', "import { z } from 'zod'\nimport b from '@scope/known/deep'"],
    ['test/a.test.ts', "import fc from 'fast-check'\nimport { b } from '../src/engine/b.ts'"],
  ]
  for (const [path, text] of fine)
    test(`allows: ${path}: ${text}`, () => assert.deepEqual(arrows(path, text), []))
})

suite('banned calls, marks and types', () => {
  const objected: [path: string, text: string][] = [
    ['src/engine/a.ts', 'setTimeout(f, 1)'],
    ['src/engine/a.ts', 'const later = setImmediate'],
    ['src/engine/a.ts', 'queueMicrotask(f)'],
    ['src/engine/a.ts', 'const t = Date.now()'],
    ['src/engine/a.ts', 'const t = new Date()'],
    ['src/wire/a.ts', 'const t = performance.now()'],
    ['src/wire/a.ts', 'const r = Math.random()'],
    ['src/model/a.ts', 'const e = process.env'],
    ['src/model/a.ts', 'const e = { process }'],
    ['src/model/a.ts', 'const id = crypto.randomUUID()'],
    ['src/storage/a.ts', 'globalThis.setTimeout(f, 1)'],
    ['src/client/a.ts', "console.log('here')"],
    ['test/a.test.ts', "console.log('here')"],
    ['src/client/a.ts', '// TODO: later'],
    ['bench/main.ts', '/* a HACK for now */'],
    ['src/client/a.ts', '// @ts-ignore'],
    ['src/client/a.ts', '// @ts-expect-error it does not fit'],
    ['src/client/a.ts', 'let a: any'],
    ['test/a.test.ts', 'const a = b as any'],
    ['src/client/a.ts', 'try { f() } catch {}'],
  ]
  for (const [path, text] of objected)
    test(`objects: ${path}: ${text}`, () => assert.deepEqual(bans(path, text), ['bans:1']))

  const fine: [path: string, text: string][] = [
    ['src/client/a.ts', 'setTimeout(f, 1); const t = Date.now()'],
    ['src/storage/node-disk.ts', 'setImmediate(f); process.pid'],
    ['src/engine/a.ts', 'const t = new Date(5); interface Machine { process(x: number): void }'],
    ['src/engine/a.ts', 'machine.process(1); machine.performance = { process: 1 }'],
    ['src/engine/a.ts', 'const { process, a: performance } = host; process(performance)'],
    ['src/engine/a.ts', 'function process(): void {}\nprocess()'],
    ['src/cli/main.ts', "console.log('result')"],
    ['test/kill/main.ts', "console.log('round 1')"],
    ['test/types.test.ts', '// @ts-expect-error a number is no name'],
    ['src/client/a.ts', 'try { f() } catch {\n// it may be gone already\n}'],
    ['src/client/a.ts', "const anything = 'any TODO'"],
  ]
  for (const [path, text] of fine)
    test(`allows: ${path}: ${text}`, () => assert.deepEqual(bans(path, text), []))
})

suite('sizes', () => {
  const sizes = (text: string) => rules(checkSizes(readSource('src/client/a.ts', text), layers))
  const lines = (count: number) => 'f()\n'.repeat(count)

  test('a file of 500 lines is allowed, one more is not', () => {
    assert.deepEqual(sizes(lines(500)), [])
    assert.deepEqual(sizes(lines(501)), ['sizes:1'])
  })

  test('a function of 70 lines is allowed, one more is not', () => {
    assert.deepEqual(sizes(`function g() {\n${lines(68)}}`), [])
    assert.deepEqual(sizes(`\nfunction g() {\n${lines(69)}}`), ['sizes:2'])
    assert.deepEqual(sizes(`const g = {\n async h() {\n${lines(69)}}\n}`), ['sizes:2'])
    assert.deepEqual(sizes(`clock.after(1, () => {\n${lines(69)}})`), ['sizes:1'])
  })

  test('a function that registers test cases is as long as the rest of it', () => {
    const cases = `test('a', () => {\n${lines(60)}})\n`
    assert.deepEqual(sizes(`function contract() {\n${cases}${cases}}`), [])
    assert.deepEqual(sizes(`describe('x', () => {\n${cases}${lines(69)}})`), ['sizes:1'])
    assert.deepEqual(sizes(`test('a', () => {\n${lines(69)}})`), ['sizes:1'])
  })

  test('quantiles are by nearest rank', () => {
    assert.equal(quantile([5, 1, 3], 0.5), 3)
    assert.equal(quantile([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0.9), 9)
    assert.equal(quantile([], 0.5), 0)
  })
})

suite('files taken together', () => {
  const entry = readSource('src/index.ts', "export { a } from './client/a.ts'")
  const a = readSource('src/client/a.ts', 'export const a = 1')
  const graph = (...sources: Source[]) =>
    checkGraph(sources, layers).map(({ rule, path }) => `${rule} ${path}`)

  test('what is reached and taken is alive', () => {
    assert.deepEqual(graph(entry, a), [])
  })

  test('objects to a published file that only a test reaches', () => {
    const b = readSource('src/client/b.ts', 'export const b = 1')
    const tested = readSource('test/b.test.ts', "import { b } from '../src/client/b.ts'")
    assert.deepEqual(graph(entry, a, b, tested), ['dead-file src/client/b.ts'])
  })

  test('objects to a helper that no test reaches, not to a child process that one names', () => {
    const helper = readSource('test/helper.ts', '')
    assert.deepEqual(graph(entry, a, helper), ['dead-file test/helper.ts'])
    const parent = readSource('test/b.test.ts', "new URL('./helper.ts', import.meta.url)")
    assert.deepEqual(graph(entry, a, helper, parent), [])
  })

  test('objects to a value that nobody takes, not to a type', () => {
    const more = readSource(
      'src/client/a.ts',
      'export const a = 1\nexport function b() {}\nexport type C = 1',
    )
    assert.deepEqual(graph(entry, more), ['dead-export src/client/a.ts'])
  })

  test('objects to a file that is not there', () => {
    assert.deepEqual(graph(entry), ['graph src/index.ts'])
  })

  test('objects to a circle of values, not to one of types', () => {
    const b = readSource('src/client/b.ts', "import { a } from './a.ts'\nexport const b = a")
    const value = readSource('src/client/a.ts', "import { b } from './b.ts'\nexport const a = b")
    const type = readSource('src/client/a.ts', "import type { b } from './b.ts'\nexport const a = 1")
    assert.deepEqual(graph(entry, value, b), ['circles src/client/a.ts'])
    assert.deepEqual(graph(readSource('src/index.ts', "export * from './client/b.ts'"), type, b), [])
    assert.equal(findCircles([type, b], { types: true }).length, 1)
  })
})

suite('pages', () => {
  const catalogue = { 'queue-full': { retryable: true, summary: 'It is full' } }
  const page =
    '# queue-full\n\n**It is full.**\n\nRetryable: yes.\n\n## What it means\n\nx\n\n## What to do\n\ny\n'
  const path = 'docs/errors/queue-full.md'

  test('an error page must exist, belong to a code and agree with the catalogue', () => {
    assert.equal(checkErrorPages(catalogue, [{ path, text: page }]).length, 0)
    assert.equal(checkErrorPages(catalogue, []).length, 1)
    assert.equal(checkErrorPages({}, [{ path, text: page }]).length, 1)
    assert.equal(checkErrorPages(catalogue, [{ path, text: page.replace('yes', 'no') }]).length, 1)
    assert.equal(checkErrorPages(catalogue, [{ path, text: page.replace('full.', 'empty.') }]).length, 1)
  })

  test('a decision needs its number, its title and a status with a date', () => {
    const decision = (name: string, text: string) =>
      checkDecisions([{ path: `docs/adr/${name}`, text }]).length
    assert.equal(decision('0000-x.md', '# 0000 X\n\nStatus: accepted · 2026-11-22\n'), 0)
    assert.equal(decision('0001-x.md', '# 0000 X\n\nStatus: accepted · 2026-11-22\n'), 1)
    assert.equal(decision('0000-x.md', '# X\n\nStatus: accepted · 2026-11-22\n'), 1)
    assert.equal(decision('0000-x.md', '# 0000 X\n\nStatus: maybe\n'), 1)
  })

  test('a translation must have the same headings and code blocks', () => {
    const translate = (text: string) =>
      checkTranslation({ path: 'a', text: '# A\n## B\n```sh\n# no heading\n```\n' }, { path: 'b', text })
        .length
    assert.equal(translate('# 甲\n## 乙\n```sh\nls\n```\n'), 0)
    assert.equal(translate('# 甲\n```sh\n```\n'), 1)
    assert.equal(translate('# 甲\n## 乙\n```ts\n```\n'), 1)
    assert.equal(translate('# 甲\n## 乙\n```sh\n```\n## 丙\n'), 1)
  })

  test('a command that is shown must exist', () => {
    const commands = (text: string) =>
      checkCommands({ path: 'a', text }, { test: '', 'test:kill': '' }).length
    assert.equal(commands('`npm ci && npm test`, `npm run -s test:kill`'), 0)
    assert.equal(commands('`npm run -s millrace`'), 1)
    assert.equal(commands('`npm start`'), 1)
    assert.equal(commands('`npm run test:none`'), 1)
  })

  test('a script must find its file', () => {
    const scripts = (command: string) => checkScripts({ a: command }, (path) => path === 'tools/a.mjs').length
    assert.equal(scripts('node tools/a.mjs && node --test "test/**/*.test.ts" && node -e "f()"'), 0)
    assert.equal(scripts('node tools/a.mjs && node bench/main.ts'), 1)
  })

  test('a relative link must lead to a file', () => {
    const links = (text: string) =>
      checkLinks({ path: 'docs/a.md', text }, (path) => path === 'docs/b.md').length
    assert.equal(links('[b](b.md) [b](./b.md#part) [web](https://example.org) [here](#part)'), 0)
    assert.equal(links('[c](c.md)'), 1)
    assert.equal(links('[b](../b.md)'), 1)
  })
})

test('objects to machine paths and registry hosts in committed files', () => {
  // Put together here, so that this file may be committed.
  const told = ['/hom' + 'e/ada/x', 'cd /roo' + 't/x', 'https://registr' + 'y.example.org/', '"/wor' + 'k/x"']
  for (const text of told) assert.deepEqual(rules(checkCommitted('a', `fine\n${text}`)), ['committed:2'])
  assert.deepEqual(rules(checkCommitted('a', `    "resolve${'d'}": "http://x"`)), ['committed:1'])
  assert.deepEqual(rules(checkCommitted('a', 'src/work/x ./home/x framework/y https://example.org')), [])
})

test('objects to a lockfile that lacks a platform or names a place', () => {
  const a = { optionalDependencies: { 'a-darwin': '1', 'a-linux': '1' } }
  const lock = (packages: Record<string, object>) => checkLockfile({ packages }).length
  assert.equal(lock({ 'node_modules/a': a, 'node_modules/a-darwin': {}, 'node_modules/a-linux': {} }), 0)
  assert.equal(lock({ 'node_modules/a': a, 'node_modules/a-linux': {} }), 1)
  assert.equal(lock({ 'node_modules/b': { resolved: 'https://packages.example.org/b.tgz' } }), 1)
})
