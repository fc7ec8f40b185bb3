/** The word that somebody who typed `typed` probably meant, if one is near enough. */
export function nearest(typed: string, words: Iterable<string>): string | undefined {
  let best: string | undefined
  let least = Math.max(2, Math.floor(typed.length / 3)) + 1
  for (const word of words) {
    const far = distance(typed.toLowerCase(), word.toLowerCase())
    if (far < least) {
      best = word
      least = far
    }
  }
  return best
}

/** `; did you mean …?`, or nothing. */
export function suggestion(typed: string, words: Iterable<string>): string {
  const word = nearest(typed, words)
  return word === undefined ? '' : `; did you mean '${word}'?`
}

/** Insertions, deletions, replacements and swaps of neighbours that make `b` of `a`. */
function distance(a: string, b: string): number {
  let before: number[] = []
  let row = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const changed = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      let least = Math.min(changed, row[j]! + 1, next[j - 1]! + 1)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        least = Math.min(least, before[j - 2]! + 1)
      }
      next.push(least)
    }
    before = row
    row = next
  }
  return row[b.length]!
}
