/** One element of a pattern: a character, any character, or any number of them. */
type Element = string | typeof ANY | typeof ANY_NUMBER

const ANY = 1
const ANY_NUMBER = 2

/** Tells whether a text fits. */
export type Pattern = (text: string) => boolean

/**
 * A pattern of LIKE: `_` is any character, `%` any number of them, and what follows the escape character stands for itself.
 * Characters are Unicode's. Undefined when the pattern ends with its escape character.
 */
export function compilePattern(pattern: string, escapedBy: string | undefined): Pattern | undefined {
  const elements: Element[] = []
  let escaped = false
  for (const character of pattern) {
    if (!escaped && character === escapedBy) {
      escaped = true
      continue
    }
    if (escaped) elements.push(character)
    else if (character === '_') elements.push(ANY)
    else if (character !== '%') elements.push(character)
    else if (elements.at(-1) !== ANY_NUMBER) elements.push(ANY_NUMBER)
    escaped = false
  }
  return escaped ? undefined : (text) => fits([...text], elements)
}

/**
 * Goes back to the last `%` only, which takes one character more each time: what an earlier one takes need never be
 * revised. So the time is bounded by the product of both lengths, whatever the pattern.
 */
function fits(text: readonly string[], elements: readonly Element[]): boolean {
  let at = 0
  let element = 0
  let retryAt = 0
  let retryElement = -1
  while (at < text.length) {
    const wanted = elements[element]
    if (wanted === ANY_NUMBER) {
      retryElement = ++element
      retryAt = at
    } else if (wanted === ANY || wanted === text[at]) {
      at++
      element++
    } else if (retryElement >= 0) {
      element = retryElement
      at = ++retryAt
    } else {
      return false
    }
  }
  while (elements[element] === ANY_NUMBER) element++
  return element === elements.length
}
