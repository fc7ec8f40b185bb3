import { type Level, MULTI, SINGLE } from './levels.ts'

interface Node<T> {
  readonly children: Map<Level, Node<T>>
  values: T[]
}

function newNode<T>(): Node<T> {
  return { children: new Map(), values: [] }
}

/** Patterns of levels with the values bound to them, matched against keys in time that follows the key and not the patterns. */
export class TopicTrie<T> {
  private readonly root: Node<T> = newNode()

  add(pattern: readonly Level[], value: T): void {
    let node = this.root
    for (const level of pattern) {
      let child = node.children.get(level)
      if (child === undefined) {
        child = newNode()
        node.children.set(level, child)
      }
      node = child
    }
    if (!node.values.includes(value)) node.values.push(value)
  }

  remove(pattern: readonly Level[], value: T): void {
    const path: Node<T>[] = [this.root]
    for (const level of pattern) {
      const child = path[path.length - 1]!.children.get(level)
      if (child === undefined) return
      path.push(child)
    }
    const last = path[path.length - 1]!
    last.values = last.values.filter((other) => other !== value)
    for (let depth = pattern.length; depth > 0; depth--) {
      const node = path[depth]!
      if (node.values.length > 0 || node.children.size > 0) return
      path[depth - 1]!.children.delete(pattern[depth - 1]!)
    }
  }

  /** Adds to `into` every value whose pattern matches; a value bound by several matching patterns is added once. */
  match(key: readonly string[], into: Set<T>): void {
    visit(this.root, key, 0, into)
  }
}

function visit<T>(node: Node<T>, key: readonly string[], depth: number, into: Set<T>): void {
  const multi = node.children.get(MULTI)
  // '#' may stand for no level at all, so what follows it is tried at every remaining depth.
  if (multi !== undefined) for (let from = depth; from <= key.length; from++) visit(multi, key, from, into)
  if (depth === key.length) {
    for (const value of node.values) into.add(value)
    return
  }
  const exact = node.children.get(key[depth]!)
  if (exact !== undefined) visit(exact, key, depth + 1, into)
  const single = node.children.get(SINGLE)
  if (single !== undefined) visit(single, key, depth + 1, into)
}
