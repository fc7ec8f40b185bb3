/** A growing list of LSNs, eight bytes each. */
export class LsnList {
  count = 0
  private lsns = new Float64Array(8)

  push(lsn: number): void {
    if (this.count === this.lsns.length) {
      const larger = new Float64Array(this.count * 2)
      larger.set(this.lsns)
      this.lsns = larger
    }
    this.lsns[this.count++] = lsn
  }

  /** The LSNs, sorted in place if need be; valid until the list is changed. */
  rising(): Float64Array {
    const lsns = this.lsns.subarray(0, this.count)
    for (let i = 1; i < lsns.length; i++) if (lsns[i]! < lsns[i - 1]!) return lsns.sort()
    return lsns
  }
}
