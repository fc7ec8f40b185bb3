import { newValue, type Value } from './last-values.ts'
import type { ByteWriter, OperationReader } from './ports/operations.ts'

const UNDECIDED = 1
const OUTDATED = 2

/** values := varint n, (varint lsn, text key, u8 priority, varint size, u8 bits)[n], with bits 1: undecided, 2: outdated */
export function writeValues(writer: ByteWriter, values: readonly Value[]): void {
  writer.putVarint(values.length)
  for (const { lsn, key, priority, size, isDecided, isOutdatedForGood } of values) {
    writer.putVarint(lsn)
    writer.putText(key)
    writer.putByte(priority)
    writer.putVarint(size)
    writer.putByte((isDecided ? 0 : UNDECIDED) | (isOutdatedForGood ? OUTDATED : 0))
  }
}

export function readValues(reader: OperationReader, take: (value: Value) => void): void {
  for (let left = reader.varint(); left > 0 && !reader.failed; left--) {
    const lsn = reader.varint()
    const key = reader.text()
    const priority = reader.byte()
    const value = newValue({ lsn, key, priority, size: reader.varint() }, false)
    const bits = reader.byte()
    value.isDecided = (bits & UNDECIDED) === 0
    value.isOutdated = (bits & OUTDATED) !== 0
    value.isOutdatedForGood = value.isOutdated
    if (!reader.failed) take(value)
  }
}
