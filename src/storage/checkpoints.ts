import { type CheckpointParts, CheckpointWriter } from './checkpoint-writer.ts'
import { CHECKPOINT_DRAFT, checkpointPath } from './format.ts'
import type { OpenFiles } from './open-files.ts'
import type { Segment } from './segment.ts'

/**
 * The checkpoints of a directory: the newest, and the one before it in case the newest turns out damaged. A file, or a
 * page, that the older one names stays until a third has taken its place.
 */
export class Checkpoints {
  /** Bytes of the two files. */
  bytes = 0
  /** Written since the journal was opened, and bytes of all of them. */
  written = 0
  bytesWritten = 0
  private readonly parts: CheckpointParts
  private readonly files: OpenFiles
  /** Numbers in the directory, newest first. */
  private present: readonly number[]
  private highest: number
  private sizes = new Map<number, number>()

  constructor(parts: CheckpointParts, files: OpenFiles, state: { base: number; present: readonly number[] }) {
    this.parts = parts
    this.files = files
    this.present = state.present
    this.highest = state.present[0] ?? 0
    this.base = state.base
  }

  /** The checkpoint that is used if the next one fails; 0 for none. */
  base: number

  /** Writes the next one and gives back what only the one before the last needed. Rejects as CheckpointWriter does. */
  async write(snapshot: () => Iterable<Uint8Array>): Promise<void> {
    const { io, pages, segments } = this.parts
    const number = this.highest + 1
    const writer = new CheckpointWriter(this.parts, number)
    try {
      await writer.write(snapshot)
    } catch (error) {
      await io.remove(CHECKPOINT_DRAFT).catch(() => {})
      throw error
    }
    this.written++
    this.bytesWritten += writer.size
    const [previous, obsolete] = [this.base, this.present.filter((one) => one !== this.base)]
    this.highest = number
    this.base = number
    this.present = previous > 0 ? [number, previous] : [number]
    this.account(number, writer.size)
    for (const one of obsolete) await io.removeInPieces(checkpointPath(one)).catch(() => {})
    const removable = segments.retired.filter((one) => (one.removableAt ?? Infinity) <= number)
    for (const segment of removable) await this.remove(segment)
    await pages.endCheckpoint(number)
  }

  private account(number: number, size: number): void {
    this.sizes.set(number, size)
    for (const one of this.sizes.keys()) if (!this.present.includes(one)) this.sizes.delete(one)
    this.bytes = [...this.sizes.values()].reduce((sum, bytes) => sum + bytes, 0)
  }

  private async remove(segment: Segment): Promise<void> {
    const { io, segments } = this.parts
    this.files.forget(segment.path)
    try {
      await io.removeInPieces(segment.path)
      segments.retired = segments.retired.filter((one) => one !== segment)
    } catch {
      // Tried again after the next checkpoint.
    }
  }
}
