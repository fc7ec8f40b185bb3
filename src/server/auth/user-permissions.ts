import { splitKey, splitPattern } from '../../engine/routing/levels.ts'
import { TopicTrie } from '../../engine/routing/trie.ts'
import type { Operation, Permissions } from '../../gateway/permissions.ts'
import { TEMPORARY_QUEUE, TEMPORARY_TOPIC } from '../../model/destination.ts'
import type { UserSettings } from './user-settings.ts'

type Patterns = TopicTrie<true>

/** The permissions of millrace.yaml. What nothing permits is forbidden. */
export class UserPermissions implements Permissions {
  private readonly patterns = new Map<string, Patterns>()

  constructor(users: readonly UserSettings[]) {
    for (const { name, permissions } of users) {
      for (const { operations, destination, kind } of permissions) {
        for (const operation of operations) {
          for (const each of kind ? [kind] : (['queue', 'topic'] as const)) {
            this.patternsOf(name, operation, each).add(splitPattern(destination, 'dotted'), true)
          }
        }
      }
    }
  }

  private patternsOf(user: string, operation: Operation, kind: 'queue' | 'topic'): Patterns {
    const key = keyOf(user, operation, kind)
    const patterns = this.patterns.get(key) ?? new TopicTrie<true>()
    this.patterns.set(key, patterns)
    return patterns
  }

  permits(user: string, operation: Operation, kind: 'queue' | 'topic', name: string): boolean {
    if (isTemporary(name) && operation !== 'browse' && operation !== 'manage') return true
    const found = new Set<true>()
    this.patterns.get(keyOf(user, operation, kind))?.match(splitKey(name, 'dotted'), found)
    return found.size > 0
  }
}

/** Replies go there: only its owner receives from it, and its name is the permission to send to it. */
function isTemporary(name: string): boolean {
  return name.startsWith(TEMPORARY_QUEUE) || name.startsWith(TEMPORARY_TOPIC)
}

function keyOf(user: string, operation: Operation, kind: 'queue' | 'topic'): string {
  return `${operation} ${kind} ${user}`
}
