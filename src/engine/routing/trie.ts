import { type Level, MULTI, SINGLE } from './levels.ts'

interface Node<T> {
  readonly children: Map<Level, Node<T>>
  values: T[]
  /** Of a node behind '#': the last match that came here, and the depth from which on it has tried what follows. */
  match: number
  tried: number
}

function newNode<T>(): Node<T> {
  return { children: new Map(), values: [], match: 0, tried: 0 }
}

/** Patterns of levels with the values bound to them, matched against keys in time that follows the key and not the patterns. */
export class TopicTrie<T> {
  private readonly root: Node<T> = newNode()
  private matches = 0

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
    this.matches++
    this.visit(this.root, key, 0, into)
  }

  private visit(node: Node<T>, key: readonly string[], depth: number, into: Set<T>): void {
    const multi = node.children.get(MULTI)
    if (multi !== undefined) this.visitMulti(multi, key, depth, into)
    if (depth === key.length) {
      for (const value of node.values) into.add(value)
      return
    }
    const exact = node.children.get(key[depth]!)
    if (exact !== undefined) this.visit(exact, key, depth + 1, into)
    const single = node.children.get(SINGLE)
    if (single !== undefined) this.visit(single, key, depth + 1, into)
  }

  /**
   * '#' may stand for no level at all, so what follows it is tried at every remaining depth; at each of them once, or a
   * pattern with many '#' would take time that grows with their combinations.
   */
  private visitMulti(node: Node<T>, key: readonly string[], depth: number, into: Set<T>): void {
    const until = node.match === this.matches ? node.tried : key.length + 1
    if (depth >= until) return
    node.match = this.matches
    node.tried = depth
    for (let from = depth; from < until; from++) this.visit(node, key, from, into)
  }
}
