import { distance, next } from './serial.ts'

const PAGE_BITS = 8
const PAGE_SIZE = 1 << PAGE_BITS
const PAGE_MASK = PAGE_SIZE - 1

/** Handles of 256 consecutive ids, each plus one; 0 is settled or never used. */
class Page {
  readonly handles = new Uint32Array(PAGE_SIZE)
  live = 0
}

const NONE = -1

/** Called with ids that are consecutive and of one link. */
type Visit = (handle: number, first: number, last: number) => void

/**
 * Which link an unsettled delivery of a session belongs to. Ids come in order and go in any; a page whose deliveries are
 * settled goes, so that memory follows what is unsettled and not how long the oldest has been.
 */
export class DeliveryMap {
  /** Undefined as long as there was no more than one at a time. */
  private pages: Map<number, Page> | undefined
  private current: Page | undefined
  private currentNumber = -1
  private count = 0
  /** The only one, as long as it is alone, is in no page: those who send one by one never have any. Its handle; -1: none. */
  private aloneHandle = NONE
  private alone = 0

  /** `id` is the successor of the one added before. */
  add(id: number, handle: number): void {
    if (this.count++ === 0) {
      this.alone = id
      this.aloneHandle = handle
      return
    }
    this.join()
    this.put(id, handle)
  }

  /** The one that was alone is so no more. */
  private join(): void {
    const { aloneHandle } = this
    if (aloneHandle === NONE) return
    this.aloneHandle = NONE
    this.put(this.alone, aloneHandle)
  }

  private put(id: number, handle: number): void {
    const number = id >>> PAGE_BITS
    if (number !== this.currentNumber) this.turn(number)
    const page = this.current!
    page.handles[id & PAGE_MASK] = handle + 1
    page.live++
  }

  private turn(number: number): void {
    this.pages ??= new Map()
    if (this.current?.live === 0) this.pages.delete(this.currentNumber)
    const page = new Page()
    this.pages.set(number, page)
    this.current = page
    this.currentNumber = number
  }

  private page(number: number): Page | undefined {
    return number === this.currentNumber ? this.current : this.pages?.get(number)
  }

  /** Settles `id`; answers the handle of its link, -1 when it was settled before. */
  take(id: number): number {
    const { aloneHandle } = this
    if (aloneHandle !== NONE) {
      if (id !== this.alone) return NONE
      this.aloneHandle = NONE
      this.count = 0
      return aloneHandle
    }
    const page = this.page(id >>> PAGE_BITS)
    return page ? this.takeFrom(page, id) : NONE
  }

  private takeFrom(page: Page, id: number): number {
    const index = id & PAGE_MASK
    const handle = page.handles[index]! - 1
    if (handle < 0) return NONE
    page.handles[index] = 0
    this.count--
    if (--page.live === 0 && page !== this.current) this.pages!.delete(id >>> PAGE_BITS)
    return handle
  }

  /** The handle of the link of `id`; -1 when it is settled. */
  get(id: number): number {
    if (this.aloneHandle !== NONE) return id === this.alone ? this.aloneHandle : NONE
    const page = this.page(id >>> PAGE_BITS)
    return page ? page.handles[id & PAGE_MASK]! - 1 : NONE
  }

  /** Settles first..last; answers whether any was unsettled. */
  takeRange(first: number, last: number): boolean {
    return first === last ? this.take(first) >= 0 : this.takeMany(first, last)
  }

  /** A function of its own, since what the one within sees is made anew with each call. */
  private takeMany(first: number, last: number): boolean {
    let any = false
    this.visit(first, last, true, () => {
      any = true
    })
    return any
  }

  /**
   * Visits the unsettled ones among first..last in runs, having settled each run before its visit when `settle`. What a
   * range of four billion costs is bounded by what is unsettled.
   */
  visit(first: number, last: number, settle: boolean, visit: Visit): void {
    this.join()
    const run = new Run(visit)
    for (const number of this.numbersBetween(first >>> PAGE_BITS, last >>> PAGE_BITS)) {
      const page = this.page(number)
      if (!page) continue
      const start = (number << PAGE_BITS) >>> 0
      const from = distance(start, first) > 0 ? first : start
      const end = (start + PAGE_MASK) >>> 0
      const to = distance(end, last) < 0 ? last : end
      this.visitPage(page, from, to, settle, run)
    }
    run.end()
  }

  private visitPage(page: Page, from: number, to: number, settle: boolean, run: Run): void {
    const count = distance(from, to) + 1
    for (let i = 0, id = from; i < count; i++, id = next(id)) {
      const handle = settle ? this.takeFrom(page, id) : page.handles[id & PAGE_MASK]! - 1
      if (handle >= 0) run.add(handle, id)
    }
  }

  private numbersBetween(first: number, last: number): number[] {
    const { pages } = this
    if (!pages) return []
    const mask = 0xffff_ffff >>> PAGE_BITS
    const span = (last - first) & mask
    if (span >= pages.size) return [...pages.keys()].filter((number) => ((number - first) & mask) <= span)
    return Array.from({ length: span + 1 }, (_, i) => (first + i) & mask)
  }

  /** Forgets the deliveries of a link that is gone. */
  forget(handle: number): void {
    this.join()
    const { pages } = this
    if (!pages) return
    for (const [number, page] of pages) {
      for (let i = 0; i < PAGE_SIZE; i++) {
        if (page.handles[i] !== handle + 1) continue
        page.handles[i] = 0
        page.live--
        this.count--
      }
      if (page.live === 0 && page !== this.current) pages.delete(number)
    }
  }
}

class Run {
  private readonly visit: Visit
  private handle = -1
  private first = 0
  private last = 0

  constructor(visit: Visit) {
    this.visit = visit
  }

  add(handle: number, id: number): void {
    if (handle !== this.handle || id !== next(this.last)) {
      this.end()
      this.handle = handle
      this.first = id
    }
    this.last = id
  }

  end(): void {
    const { handle } = this
    this.handle = -1
    if (handle >= 0) this.visit(handle, this.first, this.last)
  }
}
