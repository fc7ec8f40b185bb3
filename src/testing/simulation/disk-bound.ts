import { Violation } from './violation.ts'
import type { World } from './world.ts'

/** What the page file may have of room between its pages: it is as long as its last page, until that is loaded. */
const PAGES_SLACK = 1024 * 1024
/** Virtual milliseconds in which an idle journal gives back what it does not need. */
const TIDYING = 20_000

/**
 * After some idle time the files hold what is alive, as much again, and a few segments. A checkpoint grows with the segments
 * that were ever needed, however small they are here; it is small when nothing is alive.
 */
export async function checkDisk(world: World): Promise<void> {
  const { machine, plan } = world
  const broker = machine.broker!
  await machine.runUntil(() => machine.broker !== broker, TIDYING)
  const { journal } = plan
  const sizes = machine.disk.paths().map((path) => ({ path, size: machine.disk.content(path).length }))
  const sum = (test: (path: string) => boolean): number =>
    sizes.reduce((bytes, { path, size }) => (test(path) ? bytes + size : bytes), 0)
  const checkpoints = sum((path) => path.startsWith('checkpoint'))
  const pages = sum((path) => path === 'pages')
  const used = sum((path) => !path.startsWith('quarantine') && !path.startsWith('checkpoint')) - pages
  // The journal knows the size of a message to an eighth.
  const liveBytes = broker.store().liveBytes * 1.125
  const slack = (journal.reserveBytes ?? 0) + 6 * (journal.segmentBytes ?? 0) + 64 * 1024
  const isTooMuch = liveBytes === 0 && checkpoints > slack
  if (used > 2 * liveBytes + slack || pages > liveBytes + PAGES_SLACK || isTooMuch) {
    const files = sizes.map(({ path, size }) => `${path} ${size}`).join(', ')
    throw new Violation(
      'disk bounded',
      `${used} + ${pages} + ${checkpoints} bytes for ${liveBytes} alive: ${files}`,
    )
  }
}
