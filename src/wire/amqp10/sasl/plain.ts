/** PLAIN (RFC 4616): [acts-as] NUL user NUL password, in UTF-8. */

export function encodePlain(user: string, password: string): Uint8Array {
  return Buffer.from(`\0${user}\0${password}`)
}

/** Undefined when it is malformed, or asks to act as somebody else, which nobody may. */
export function parsePlain(response: Uint8Array): { user: string; password: string } | undefined {
  const fields = Buffer.from(response.buffer, response.byteOffset, response.length)
    .toString('utf8')
    .split('\0')
  const [actsAs, user, password] = fields
  if (fields.length !== 3 || !user || password === undefined) return undefined
  return actsAs === '' || actsAs === user ? { user, password } : undefined
}
