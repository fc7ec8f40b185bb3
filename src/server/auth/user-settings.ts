import type { Operation } from '../../gateway/permissions.ts'
import { type Kind, Mistake, record, show } from '../config/kinds.ts'
import { type Credentials, parseCredentials } from './credentials.ts'

const operations: readonly Operation[] = ['send', 'receive', 'browse', 'create', 'delete', 'manage']

/** Lets its user do these operations with destinations whose name matches. */
export interface Permission {
  readonly operations: readonly Operation[]
  /** A name or dotted pattern: '*' one level, '#' any number. */
  readonly destination: string
  /** Undefined: both. */
  readonly kind: 'queue' | 'topic' | undefined
}

export interface UserSettings {
  readonly name: string
  readonly credentials: Credentials
  readonly permissions: readonly Permission[]
}

/** The list `users` of millrace.yaml. */
export const users: Kind<readonly UserSettings[]> = {
  what: 'a list of users, each with name, password and permissions',
  placeholder: '…',
  read: (value) => {
    if (!Array.isArray(value)) return undefined
    const list = value.map((each, index) => readUser(each, `[${index}]`))
    const twice = list.findIndex(({ name }, index) => list.findIndex((other) => other.name === name) < index)
    if (twice >= 0) throw new Mistake(`[${twice}].name is taken: ${list[twice]!.name} is in the list before`)
    return list
  },
}

function readUser(value: unknown, at: string): UserSettings {
  const fields = record(value, at, ['name', 'password', 'permissions'])
  const { name, password, permissions } = fields
  if (typeof name !== 'string' || name === '') throw new Mistake(`${at}.name is missing; write name: NAME`)
  const credentials = typeof password === 'string' ? parseCredentials(password) : undefined
  // What was given is not repeated: it may be a password.
  if (!credentials)
    throw new Mistake(`${at}.password of ${name} is not what 'millrace passwd' prints; put that there`)
  if (!Array.isArray(permissions) || permissions.length === 0)
    throw new Mistake(
      `${at}.permissions of ${name} is a list such as [{ operations: [send, receive], destination: orders.# }]`,
    )
  return {
    name,
    credentials,
    permissions: permissions.map((each, index) => readPermission(each, `${at}.permissions[${index}]`)),
  }
}

function readPermission(value: unknown, at: string): Permission {
  const fields = record(value, at, ['operations', 'destination', 'kind'])
  const { operations: asked, destination, kind } = fields
  const list = asked === 'all' ? operations : Array.isArray(asked) ? asked : [asked]
  const stranger = list.find((each) => !operations.includes(each as Operation))
  if (list.length === 0 || stranger !== undefined || asked === undefined)
    throw new Mistake(`${at}.operations is 'all' or a list of ${operations.join(', ')}, not ${show(asked)}`)
  if (typeof destination !== 'string' || destination === '')
    throw new Mistake(
      `${at}.destination is a name or a pattern such as orders.* or '#', not ${show(destination)}`,
    )
  if (kind !== undefined && kind !== 'queue' && kind !== 'topic')
    throw new Mistake(`${at}.kind is queue or topic, or left out for both, not ${show(kind)}`)
  return { operations: list as readonly Operation[], destination, kind }
}
