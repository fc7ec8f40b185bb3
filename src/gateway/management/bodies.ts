import type { Engine } from '../../engine/api.ts'

/** Fetches the chunks of a large body, one after the other, and joins them; null when one is damaged or gone. */
export function fetchBody(
  engine: Pick<Engine, 'readChunk'>,
  delivery: { readonly chunks: readonly number[]; readonly size: number },
): Promise<Uint8Array | null> {
  const { chunks, size } = delivery
  return new Promise((resolve) => {
    const whole = Buffer.allocUnsafeSlow(size)
    const next = (index: number, at: number): void => {
      if (index === chunks.length) return resolve(at === size ? whole : null)
      engine.readChunk(chunks[index]!, (bytes) => {
        if (bytes === null || at + bytes.length > size) return resolve(null)
        whole.set(bytes, at)
        next(index + 1, at + bytes.length)
      })
    }
    next(0, 0)
  })
}
