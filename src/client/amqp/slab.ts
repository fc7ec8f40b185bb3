/** Larger ones malloc gives back to the system, to have them again as pages that are cleared one by one. */
const SLAB_BYTES = 64 * 1024
/** What is larger than this has memory of its own, so that little is kept for its sake. */
export const LARGE_BYTES: number = 16 * 1024

/** Copies of many small pieces of bytes in few buffers, which are freed with the last piece in them. */
export class Slab {
  /** Where the last copy went. */
  bytes: Uint8Array = new Uint8Array(0)
  private slab: Uint8Array = this.bytes
  private at = 0

  /** Copies bytes[start, end) and answers where the copy begins in `this.bytes`. */
  copy(bytes: Uint8Array, start = 0, end: number = bytes.length): number {
    const size = end - start
    const from = start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end)
    if (size > LARGE_BYTES) {
      this.bytes = Buffer.allocUnsafeSlow(size)
      this.bytes.set(from)
      return 0
    }
    if (this.at + size > this.slab.length) {
      this.slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
      this.at = 0
    }
    this.bytes = this.slab
    const at = this.at
    this.slab.set(from, at)
    this.at += size
    return at
  }
}
