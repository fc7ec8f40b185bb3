import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { suite, test } from 'node:test'
import { errorCatalogue } from '../../src/model/errors.ts'
import { checkCommitted } from '../../tools/house/committed.ts'
import { checkLockfile } from '../../tools/house/lockfile.ts'
import {
  checkCommands,
  checkDecisions,
  checkErrorPages,
  checkLinks,
  checkScripts,
  checkTranslation,
  type Page,
} from '../../tools/house/pages.ts'
import { listFiles, readManifest, readText, root } from '../../tools/house/repository.ts'
import { describeViolations, type Violation } from '../../tools/house/source.ts'

function none(violations: readonly Violation[]): void {
  assert.equal(violations.length, 0, `\n${describeViolations(violations)}`)
}

function readPages(pattern: string): Page[] {
  return listFiles(pattern).map((path) => ({ path, text: readText(path) }))
}

suite('the pages say what is true', () => {
  test('every error code has its page, every page its code', () => {
    none(checkErrorPages(errorCatalogue, readPages('docs/errors/*.md')))
  })

  test('decisions are numbered and have a status', () => {
    none(checkDecisions(readPages('docs/adr/*.md')))
  })

  test('the Chinese README has the shape of the English one', () => {
    const [english, chinese] = readPages('README{.md,.zh.md}')
    assert(english && chinese, 'README.md and README.zh.md are both there')
    none(checkTranslation(english, chinese))
  })

  test('commands that pages show exist, and links lead somewhere', () => {
    const { scripts } = readManifest()
    const exists = (path: string) => existsSync(`${root}${path}`)
    const pages = readPages('{*.md,docs/**/*.md,examples/**/*.md}')
    none(checkScripts(scripts, exists))
    none(
      checkCommands(
        { path: '.ci/run', text: readText('.ci/run').replace(/^suite .* /gm, 'npm run ') },
        scripts,
      ),
    )
    none(pages.flatMap((page) => checkCommands(page, scripts)))
    none(pages.flatMap((page) => checkLinks(page, exists)))
  })
})

test('no committed file tells of one machine or registry', (t) => {
  if (!existsSync(`${root}.git`)) return t.skip('not a git checkout: nobody knows what is committed')
  const paths = execFileSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8' }).split('\0')
  none(
    paths
      .filter((path) => path !== '' && existsSync(`${root}${path}`))
      .flatMap((path) => checkCommitted(path, readFileSync(`${root}${path}`, 'latin1'))),
  )
})

test('the lockfile serves every platform and names no registry', () => {
  none(checkLockfile(JSON.parse(readText('package-lock.json'))))
})
