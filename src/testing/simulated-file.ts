import type { Random } from '../engine/ports/random.ts'

const SECTOR = 512

/** Old content of sectors that were written over, as they would be found if the writes were lost. */
type Images = Map<number, Buffer>

/** What a sync is to make durable: handed out when it begins, given back when it ends. */
interface Covered {
  readonly images: Images
  readonly size: number
}

/**
 * A file with a page cache above it. The present content is what reads see; layers of images below say what a power
 * cut may bring back: first what no sync has covered yet, then what syncs under way cover, then what a failed sync
 * left behind (fault rules in FaultyDisk).
 */
export class SimulatedFile {
  size = 0
  private bytes: Buffer = Buffer.alloc(0)
  private durableSize = 0
  private dirty: Images = new Map()
  private syncing: Covered[] = []
  private doomed: Images = new Map()

  write(content: Uint8Array, position: number): void {
    const end = position + content.length
    if (content.length === 0) return
    this.keepImages(Math.min(position, this.size), end)
    this.reserve(end)
    this.bytes.set(content, position)
    this.size = Math.max(this.size, end)
  }

  read(into: Uint8Array, position: number): number {
    const end = Math.min(this.size, position + into.length)
    if (end <= position) return 0
    into.set(this.bytes.subarray(position, end))
    return end - position
  }

  truncate(size: number): void {
    if (size >= this.size) return
    this.keepImages(size, this.size)
    this.bytes.fill(0, size, this.size)
    this.size = size
  }

  beginSync(): Covered {
    const covered = { images: this.dirty, size: this.size }
    this.dirty = new Map()
    this.syncing.push(covered)
    return covered
  }

  endSync(covered: Covered, good: boolean): void {
    this.syncing = this.syncing.filter((one) => one !== covered)
    if (good) {
      this.durableSize = covered.size
      for (const sector of covered.images.keys()) this.doomed.delete(sector)
    } else {
      for (const [sector, image] of covered.images) {
        if (!this.doomed.has(sector)) this.doomed.set(sector, image)
      }
    }
  }

  /** Nobody will hear of the syncs under way: what they were to cover is as unsynced as before. */
  abandonSyncs(): void {
    for (const { images } of this.syncing.reverse()) {
      for (const [sector, image] of images) this.dirty.set(sector, image)
    }
    this.syncing = []
  }

  /** Leaves what a power cut leaves; says how many sectors were lost and torn. */
  losePower(random: Random, tornShare: number): { lost: number; torn: number } {
    const count = { lost: 0, torn: 0 }
    const kept = new Set<number>()
    this.abandonSyncs()
    for (const layer of [this.dirty, this.doomed]) {
      for (const [sector, image] of layer) {
        if (kept.has(sector)) continue
        if (random.next() < 0.5) kept.add(sector)
        else if (random.next() < tornShare) {
          this.bring(sector, image, 1 + Math.floor(random.next() * (SECTOR - 1)))
          kept.add(sector)
          count.torn++
        } else {
          this.bring(sector, image, 0)
          count.lost++
        }
      }
    }
    this.loseSize(random)
    this.dirty = new Map()
    this.doomed = new Map()
    return count
  }

  /** Inverts a bit; false when the sector is not synced, or the position outside. */
  flip(position: number, bit: number): boolean {
    const sector = Math.floor(position / SECTOR)
    const unsynced = this.dirty.has(sector) || this.syncing.some((one) => one.images.has(sector))
    if (position >= this.size || unsynced) return false
    this.bytes[position] = this.bytes[position]! ^ (1 << bit)
    return true
  }

  content(): Buffer {
    return Buffer.from(this.bytes.subarray(0, this.size))
  }

  private loseSize(random: Random): void {
    const other = random.next()
    if (other < 0.4) this.size = this.durableSize
    else if (other < 0.6) {
      this.size = this.durableSize + Math.floor(random.next() * (this.size - this.durableSize))
    }
    this.reserve(this.size)
    this.bytes.fill(0, this.size)
    this.durableSize = this.size
  }

  /** Puts old content back into a sector, from byte `from` of it on. */
  private bring(sector: number, image: Buffer, from: number): void {
    const start = sector * SECTOR
    this.reserve(start + SECTOR)
    this.bytes.fill(0, start + from, start + SECTOR)
    if (image.length > from) image.copy(this.bytes, start + from, from)
  }

  private keepImages(from: number, to: number): void {
    const last = Math.floor((to - 1) / SECTOR)
    for (let sector = Math.floor(from / SECTOR); sector <= last; sector++) {
      if (this.dirty.has(sector)) continue
      const start = sector * SECTOR
      const end = Math.min(start + SECTOR, this.size)
      this.dirty.set(sector, Buffer.from(this.bytes.subarray(start, Math.max(start, end))))
    }
  }

  private reserve(size: number): void {
    if (size <= this.bytes.length) return
    const grown = Buffer.alloc(Math.max(size, this.bytes.length * 2, SECTOR))
    this.bytes.copy(grown)
    this.bytes = grown
  }
}
