import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

// What somebody gets who installs the package: packed, installed into an empty folder, checked and run on every
// supported Node.js. Needs a package registry. Tools are pinned, so that a new one cannot turn the result around.

/** The oldest version that package.json allows, and the newest of each later line. */
const runtimes = ['22.18.0', '24', '26']
const tools = ['publint@0.3.25', '@arethetypeswrong/cli@0.18.5']
const maxPackages = 25

const repository = fileURLToPath(new URL('../../', import.meta.url))
const fixtures = fileURLToPath(new URL('./fixtures/', import.meta.url))
const work = mkdtempSync(join(tmpdir(), 'millrace-package-'))

function run(folder: string, command: string, ...args: string[]): string {
  const { status, stdout } = spawnSync(command, args, {
    cwd: folder,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}:\n${stdout}`)
  return stdout
}

function check(condition: boolean, what: string): void {
  if (!condition) throw new Error(`package: ${what}`)
  console.log(`ok: ${what}`)
}

/** A folder with a package.json of its own, in which these packages are installed. */
function installInto(name: string, packages: readonly string[], allowScripts = {}): string {
  const folder = join(work, name)
  mkdirSync(folder)
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module', allowScripts }))
  run(folder, 'npm', 'install', '--no-audit', '--no-fund', '--loglevel=error', ...packages)
  return folder
}

function pack(): string {
  const [packed] = JSON.parse(
    run(repository, 'npm', 'pack', '--json', '--silent', '--pack-destination', work),
  )
  const paths: string[] = packed.files.map(({ path }: { path: string }) => path)
  const expected = /^(dist\/.*\.(js|d\.ts)|docs\/errors\/[\w-]+\.md|package\.json|LICENSE|README(\.zh)?\.md)$/
  const strangers = paths.filter((path) => !expected.test(path))
  check(strangers.length === 0, `only published files are packed ${strangers}`)
  for (const path of ['LICENSE', 'README.md', 'dist/index.js', 'dist/index.d.ts', 'dist/cli/main.js'])
    check(paths.includes(path), `${path} is packed`)
  console.log(`${paths.length} files, ${packed.size} bytes packed, ${packed.unpackedSize} unpacked`)
  return join(work, packed.filename)
}

interface Lockfile {
  readonly packages: Readonly<Record<string, { readonly hasInstallScript?: boolean }>>
}

function checkFootprint(folder: string): void {
  const { packages } = JSON.parse(readFileSync(join(folder, 'package-lock.json'), 'utf8')) as Lockfile
  const installed = Object.entries(packages).filter(([path]) => path !== '')
  check(installed.length <= maxPackages, `${installed.length} packages installed, at most ${maxPackages}`)
  const scripted = installed.filter(([, { hasInstallScript }]) => hasInstallScript).map(([path]) => path)
  check(scripted.length === 0, `no install scripts ${scripted}`)
}

function checkTypes(app: string): void {
  const { devDependencies } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8'))
  const compiler = installInto('compiler', [`typescript@${devDependencies.typescript}`])
  const types = `@types/node@${devDependencies['@types/node']}`
  run(app, 'npm', 'install', '--no-audit', '--no-fund', '--loglevel=error', types)
  run(app, join(compiler, 'node_modules/.bin/tsc'), '-p', 'tsconfig.json')
  console.log('ok: hello world type-checks against the installed declarations, which are checked too')
}

function checkRuntime(app: string, version: string): void {
  const folder = installInto(`node-${version}`, [`node@${version}`], { node: true })
  const node = join(folder, 'node_modules/.bin/node')
  const actual = run(folder, node, '--version').trim()
  const hello = run(app, node, '--throw-deprecation', '--pending-deprecation', 'hello.mjs').trim()
  check(hello.endsWith('hello ada'), `hello world runs on ${actual}`)
  const thread = run(app, node, 'thread.mjs').trim()
  check(thread === 'hello ada from a thread', `a broker in a thread runs on ${actual}`)
  const help = run(app, node, 'node_modules/millrace/dist/cli/main.js', '--help')
  check(help.includes('millrace'), `the command line runs on ${actual}`)
  rmSync(folder, { recursive: true })
}

function checkManifest(tarball: string): void {
  const bin = join(installInto('tools', tools), 'node_modules/.bin')
  run(work, join(bin, 'publint'), 'run', tarball, '--strict')
  console.log('ok: publint finds nothing')
  run(work, join(bin, 'attw'), tarball, '--profile', 'esm-only')
  console.log('ok: the types resolve (attw, esm-only)')
}

try {
  const tarball = pack()
  const app = installInto('app', [tarball])
  checkFootprint(app)
  cpSync(fixtures, app, { recursive: true })
  for (const version of runtimes) checkRuntime(app, version)
  checkTypes(app)
  checkManifest(tarball)
  console.log('package: all checks passed')
} finally {
  rmSync(work, { recursive: true, force: true })
}
