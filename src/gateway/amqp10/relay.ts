import { MillraceError } from '../../model/errors.ts'
import { resolveTargets } from './address.ts'
import type { AmqpConnection } from './connection.ts'
import { type Route, routeTo } from './route.ts'

/** Addresses that one relay remembers the way to; most senders have few. */
const MAX_ROUTES = 1_000

/** The anonymous terminus: each message says where it goes (Anonymous Terminus 1.0, 2.2). */
export class Relay {
  private readonly connection: AmqpConnection
  private routes: Map<string, Route> | undefined
  /** What was asked for last is mostly asked for next. */
  private lastAddress: string | undefined
  private lastKind: string | undefined
  private lastRoute: Route | undefined

  constructor(connection: AmqpConnection) {
    this.connection = connection
  }

  /** `kind` is the capability that names the kind of `address`, when the message says it. Throws what it is refused with. */
  routeOf(address: string | undefined, kind: string | undefined): Route {
    if (this.lastRoute && address === this.lastAddress && kind === this.lastKind) return this.lastRoute
    this.lastRoute = this.lookUp(address, kind)
    this.lastAddress = address
    this.lastKind = kind
    return this.lastRoute
  }

  private lookUp(address: string | undefined, kind: string | undefined): Route {
    if (address === undefined)
      throw new MillraceError('message-unroutable', 'a message to no fixed address needs the property to')
    const key = `${kind ?? ''} ${address}`
    this.routes ??= new Map()
    const known = this.routes.get(key)
    if (known) return known
    const route = this.find(address, kind)
    if (this.routes.size >= MAX_ROUTES) this.routes.clear()
    this.routes.set(key, route)
    return route
  }

  private find(address: string, kind: string | undefined): Route {
    const { engine, gateway } = this.connection
    const targets = resolveTargets(address, kind ? [kind] : [], (name) => gateway.kindOf(name))
    for (const { kind: found, name } of targets) {
      if (found === 'queue' || found === 'topic') this.connection.assertPermitted('send', found, name)
      if (found === 'queue' && !engine.queue(name)) this.connection.assertPermitted('create', 'queue', name)
    }
    return routeTo(...targets)
  }
}
