import { Violation } from './violation.ts'
import type { World } from './world.ts'

/** Virtual milliseconds in which an idle journal gives back what it does not need. */
const TIDYING = 20_000

/** Everything has been consumed: after some idle time the files hold next to nothing. */
export async function checkDisk(world: World): Promise<void> {
  const { machine, plan } = world
  const broker = machine.broker!
  await machine.runUntil(() => machine.broker !== broker, TIDYING)
  const { journal } = plan
  const used = machine.disk
    .paths()
    .filter((path) => !path.startsWith('quarantine'))
    .reduce((sum, path) => sum + machine.disk.content(path).length, 0)
  const allowed =
    (journal.reserveBytes ?? 0) +
    4 * (journal.segmentBytes ?? 0) +
    4 * (journal.checkpointBytes ?? 0) +
    64 * 1024
  if (used <= allowed) return
  const files = machine.disk.paths().map((path) => `${path} ${machine.disk.content(path).length}`)
  throw new Violation('disk bounded', `${used} bytes for nothing (${allowed} allowed): ${files.join(', ')}`)
}
