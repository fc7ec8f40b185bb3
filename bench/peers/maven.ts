import { execFile, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Missing } from './peer.ts'

const run = promisify(execFile)
const cache = fileURLToPath(new URL('../../node_modules/.cache/peers/', import.meta.url))

/** Java and Maven are here. */
export function requireJava(): void {
  for (const [command, debian] of [
    ['java', 'default-jre-headless'],
    ['mvn', 'maven'],
  ] as const) {
    if (spawnSync(command, ['-version'], { stdio: 'ignore' }).error)
      throw new Missing(`${command}: apt-get install --no-install-recommends ${debian}`)
  }
}

/** Has Maven fetch artifacts (group:artifact:version) with what they need at run time; answers the class path. Kept. */
export async function classPath(...artifacts: readonly string[]): Promise<string> {
  requireJava()
  const pom = pomOf(artifacts)
  const folder = join(cache, createHash('sha256').update(pom).digest('hex').slice(0, 16))
  if (!existsSync(folder)) {
    const unfinished = `${folder}.part`
    rmSync(unfinished, { recursive: true, force: true })
    mkdirSync(unfinished, { recursive: true })
    writeFileSync(join(unfinished, 'pom.xml'), pom)
    const goal = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies'
    const options = [`-DoutputDirectory=${unfinished}`, '-DincludeScope=runtime']
    try {
      await run('mvn', ['--batch-mode', '--quiet', goal, ...options], { cwd: unfinished })
    } catch (error) {
      throw new Missing(`Maven does not get ${artifacts.join(', ')}: ${reason(error)}`)
    }
    renameSync(unfinished, folder)
  }
  return `${folder}/*`
}

function pomOf(artifacts: readonly string[]): string {
  const dependencies = artifacts.map((artifact) => {
    const [group, name, version] = artifact.split(':')
    return `<dependency><groupId>${group}</groupId><artifactId>${name}</artifactId><version>${version}</version></dependency>`
  })
  return `<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion><groupId>bench</groupId><artifactId>peers</artifactId><version>1</version>
<dependencies>${dependencies.join('\n')}</dependencies>
</project>
`
}

/** What Maven says first of what went wrong. */
function reason(error: unknown): string {
  const { stdout = '', message } = error as { stdout?: string; message: string }
  return /ERROR\S*\s+(.*)/.exec(stdout)?.[1] ?? message
}
