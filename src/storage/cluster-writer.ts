import type { DiskFile } from './disk.ts'
import type { DiskIo } from './disk-io.ts'
import {
  FILE_HEADER,
  FileKind,
  FRAME_BYTES,
  FRAME_HEADER,
  FrameHeader,
  frameSpan,
  padding,
  writeFileHeader,
  writeFrameHeader,
} from './format.ts'
import type { Segment } from './segment.ts'
import type { Survivors } from './survivors.ts'

/** Written and synced together: so much the journal's own syncs may have to wait for. */
const SLICE = 224 * 1024
const MOST_DELTA = 0xffffff

/** Writes survivors to a new cluster, run by run. */
export class ClusterWriter {
  private readonly io: DiskIo
  private readonly cluster: Segment
  private readonly survivors: Survivors
  private readonly epoch: number
  private readonly header = new FrameHeader()
  private buffers: Uint8Array[] = []
  /** Where payloads are put together, one slice after the other. */
  private readonly memory: Buffer
  private used = 0
  private flushed = 0
  private position: number = FILE_HEADER

  constructor(io: DiskIo, cluster: Segment, survivors: Survivors, epoch: number, memory: Buffer) {
    this.io = io
    this.cluster = cluster
    this.survivors = survivors
    this.epoch = epoch
    this.memory = memory
  }

  /** Resolves when the cluster is durable; rejects with a disk's error. */
  async write(): Promise<void> {
    const { io, cluster, epoch } = this
    const { file } = await io.open(cluster.path, 'create')
    try {
      this.buffers.push(writeFileHeader({ kind: FileKind.cluster, epoch, number: cluster.number, lsn: 0 }))
      const sorted = this.survivors.inRuns()
      for (let at = 0; at < sorted.length; ) {
        at = this.addFrame(sorted, at)
        if (this.position - this.flushed >= SLICE) await this.flush(file)
      }
      await this.flush(file)
    } finally {
      await io.close(file)
    }
    cluster.size = this.position
    cluster.written = this.position
    cluster.sealed = true
  }

  /** Frames survivors of one queue from sorted[from] on; answers the first that is left. */
  private addFrame(sorted: Uint32Array, from: number): number {
    const { survivors, header } = this
    const queue = survivors.queue(sorted[from]!)
    let length = survivors.length(sorted[from]!)
    let to = from + 1
    while (to < sorted.length && length < FRAME_BYTES && this.follows(sorted, to, queue)) {
      length += survivors.length(sorted[to]!)
      to++
    }
    const payload = this.take(length + padding(length)).fill(0, length)
    let at = 0
    for (let i = from; i < to; i++) {
      const index = sorted[i]!
      const delta = i === from ? 0 : survivors.lsn(index) - survivors.lsn(sorted[i - 1]!)
      survivors.copyTo(payload, at, index, delta)
      at += survivors.length(index)
    }
    header.length = length
    header.count = to - from
    header.firstLsn = survivors.lsn(sorted[from]!)
    header.lastLsn = survivors.lsn(sorted[to - 1]!)
    header.mark = queue
    header.epoch = this.epoch
    this.push(payload)
    return to
  }

  private take(size: number): Buffer {
    if (this.used + size > this.memory.length) return Buffer.allocUnsafeSlow(size)
    this.used += size
    return this.memory.subarray(this.used - size, this.used)
  }

  private follows(sorted: Uint32Array, index: number, queue: number): boolean {
    const { survivors } = this
    const delta = survivors.lsn(sorted[index]!) - survivors.lsn(sorted[index - 1]!)
    return survivors.queue(sorted[index]!) === queue && delta <= MOST_DELTA
  }

  private push(payload: Buffer): void {
    const { header, cluster, position } = this
    const body = payload.subarray(0, header.length)
    const end = position + frameSpan(header.length)
    this.buffers.push(writeFrameHeader(header, body, cluster.number, position), payload)
    cluster.table.note(header.mark, header.firstLsn, position, end)
    this.position = position + FRAME_HEADER + payload.length
  }

  private async flush(file: DiskFile): Promise<void> {
    const buffers = this.buffers
    const position = this.flushed
    this.buffers = []
    this.flushed = this.position
    await this.io.write(file, buffers, position)
    await this.io.sync(file)
    this.used = 0
  }
}
