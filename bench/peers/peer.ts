import type { DriverName } from './open-driver.ts'

/** A broker to be measured beside the others: it is started by the harness, on the disk that is measured. */
export interface Peer {
  readonly name: string
  /** What has happened to a message when its sender is told that it is there, in a phrase. */
  readonly durability: string
  readonly driver: DriverName
  /** What the driver drives it with. */
  readonly client: string
  /** Whether `artemis perf client` can be pointed at it, too. */
  readonly amqp10?: boolean
  /** Rejects with `Missing` when something is not here that it needs. */
  start(directory: string): Promise<RunningPeer>
}

export interface RunningPeer extends AsyncDisposable {
  /** As it says itself. */
  readonly version: string
  readonly pid: number
  /** What its driver connects to. */
  readonly url: string
}

/** Something that is not on this machine; the message says what to do. */
export class Missing extends Error {}
