import { connect, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { AmqpConnection } from '../client/amqp/connection.ts'
import type { Dialled } from '../client/amqp/dial.ts'
import { Dialler } from '../client/amqp/dialler.ts'
import { lineOptions } from '../client/amqp/options.ts'
import type { ProviderConnection, ProviderOptions } from '../client/provider.ts'
import { isMillraceError, MillraceError } from '../model/errors.ts'
import { find } from './attach-point.ts'

/** Pauses between attempts to find the new owner; a takeover is to take less than a second. */
const policy = { initial: 2, max: 50, maxAttempts: Number.POSITIVE_INFINITY, firstAttempts: 1 }
/** How long an owner may take that has announced itself and is still reading its journal. Milliseconds. */
const OPENING = 30_000
/** How long an owner may take to announce itself. Milliseconds. */
const ANNOUNCING = 200

/** A broker in this process that an attached connection keeps open after it has taken over the directory. */
export interface Holding {
  /** False when it has ended without being asked to, as a thread may. */
  readonly alive: boolean
  leave(): Promise<void>
}

/** Opens the broker here when the directory is free. Rejects with `directory-locked` when it is not. */
export type TakeOver = () => Promise<Holding>

/**
 * Attaches to the owner of a directory, and becomes the owner when that one leaves or dies: every attempt to reconnect first
 * tries for the lock, and whoever gets it opens the broker and serves the others, and itself. Rejects with
 * `directory-locked` when the owner does not serve.
 */
export async function attach(
  directory: string,
  takeOver: TakeOver,
  asked: ProviderOptions,
): Promise<ProviderConnection> {
  const { clientId, signal, events } = asked
  const owner = new Owner(directory, takeOver)
  const dialler = new Dialler([() => owner.dial()], policy, lineOptions(clientId, asked))
  const begun = performance.now()
  for (;;) {
    try {
      return await AmqpConnection.open(dialler, clientId, events, signal, () => owner.forget())
    } catch (error) {
      const patience = find(directory) === undefined ? ANNOUNCING : OPENING
      const isAbsent = isMillraceError(error) && error.code === 'connection-failed'
      if (isAbsent && performance.now() - begun < patience) {
        await pause(policy.max)
        continue
      }
      await owner.forget()
      throw (isAbsent && owner.locked) || error
    }
  }
}

/** Whoever owns the directory: it is this process when it can be. */
class Owner {
  private readonly directory: string
  private readonly takeOver: TakeOver
  private holding: Holding | undefined
  /** Why the directory was not to be had when this process last tried. */
  locked: MillraceError | undefined

  constructor(directory: string, takeOver: TakeOver) {
    this.directory = directory
    this.takeOver = takeOver
  }

  async dial(): Promise<Dialled> {
    if (!this.holding?.alive) await this.tryToOwn()
    const socket = await this.open()
    const name = `file:${this.directory}`
    return { socket, name, hostname: undefined, username: undefined, password: undefined, secure: true }
  }

  private async tryToOwn(): Promise<void> {
    this.holding = undefined
    try {
      this.holding = await this.takeOver()
    } catch (error) {
      if (!(isMillraceError(error) && error.code === 'directory-locked')) throw error
      this.locked = error
    }
  }

  private open(): Promise<Socket> {
    const path = find(this.directory)
    if (path === undefined) return Promise.reject(unreachable(this.directory))
    return new Promise((resolve, reject) => {
      const socket = connect({ path })
      const fail = (cause: unknown) => reject(unreachable(this.directory, cause))
      socket.once('error', fail)
      socket.once('connect', () => {
        socket.removeListener('error', fail)
        resolve(socket)
      })
    })
  }

  /** The connection has ended: it keeps no broker open any more. */
  async forget(): Promise<void> {
    const { holding } = this
    this.holding = undefined
    await holding?.leave()
  }
}

function unreachable(directory: string, cause?: unknown): MillraceError {
  return new MillraceError('connection-failed', `the owner of ${directory} does not answer`, { cause })
}
