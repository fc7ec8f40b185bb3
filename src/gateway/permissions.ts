/** What a user may be allowed to do with a queue or a topic. */
export type Operation = 'send' | 'receive' | 'browse' | 'create' | 'delete' | 'manage'

/** Who may do what, as the host decides it. Asked when a link attaches or an operation is asked for, not per message. */
export interface Permissions {
  /** `user` is '' for somebody who did not say who they are. `name` is that of the queue or topic, '' for the broker as a whole. */
  permits(user: string, operation: Operation, kind: 'queue' | 'topic', name: string): boolean
}

export const everything: Permissions = { permits: () => true }
