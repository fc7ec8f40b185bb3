import type { DiskOperation } from '../faulty-disk.ts'
import type { MachineEnd } from './machine.ts'
import type { World } from './world.ts'

interface Trap {
  readonly operation: DiskOperation
  readonly how: MachineEnd
  /** Operations of that kind to let pass first. */
  left: number
}

export interface Climate {
  readonly crashes: number
  /** Shares of the run at which bits flip. */
  readonly flips: number
  readonly errors: boolean
  readonly fullDisk: boolean
}

const DANGEROUS: readonly DiskOperation[] = ['write', 'sync', 'rename', 'remove', 'open', 'read', 'truncate']

/** What goes wrong with the machine during a run: when it ends, and what the disk and the clock on the wall do. */
export class Weather {
  private readonly world: World
  private readonly crashAt: number[]
  private readonly flipAt: number[]
  private readonly climate: Climate
  private trap: Trap | null = null
  private trapSetAt = 0
  private fullUntil = 0

  /** `length`: steps of the run. */
  constructor(world: World, climate: Climate, length: number) {
    this.world = world
    this.climate = climate
    const { random } = world
    const moments = (count: number): number[] =>
      Array.from({ length: count }, () => Math.floor((0.05 + 0.9 * random.next()) * length)).sort(
        (a, b) => a - b,
      )
    this.crashAt = moments(climate.crashes)
    this.flipAt = moments(climate.flips)
    const { disk } = world.machine
    disk.faults.delay = { min: 0.01, max: random.pick([0.1, 1, 5]) }
    disk.faults.torn = random.next()
    disk.observer = (operation, path) => this.observe(operation, path)
  }

  get crashesLeft(): number {
    return this.crashAt.length + (this.trap === null ? 0 : 1)
  }

  /** Lets happen what is due at a step of the run. */
  act(step: number): void {
    if (this.flipAt.length > 0 && step >= this.flipAt[0]!) {
      this.flipAt.shift()
      this.flip()
    }
    if (this.trap !== null && step > this.trapSetAt + 60) this.spring(this.trap.how)
    if (this.crashAt.length > 0 && step >= this.crashAt[0]! && this.trap === null) {
      this.crashAt.shift()
      this.prepareCrash(step)
    }
    if (this.world.random.chance(0.01)) this.change(step)
    if (this.fullUntil > 0 && step >= this.fullUntil) this.giveSpace()
  }

  /** The end of the run is to be quiet: nothing fails any more. */
  clear(): void {
    this.trap = null
    this.crashAt.length = 0
    this.flipAt.length = 0
    this.calm()
    this.giveSpace()
  }

  /** The disk does what it is asked to, as long as there is room. */
  calm(): void {
    const { faults } = this.world.machine.disk
    faults.readError = 0
    faults.writeError = 0
    faults.syncError = 0
  }

  /** Room on the disk again, however long it was to be full. */
  giveSpace(): void {
    this.fullUntil = 0
    this.world.machine.disk.faults.capacity = Number.POSITIVE_INFINITY
  }

  /** Ends the machine, now. */
  spring(how: MachineEnd): void {
    const { world } = this
    this.trap = null
    world.note('---', how)
    if (how === 'power cut') world.machine.powerCut()
    else world.machine.kill()
    world.endActors(how)
  }

  /** A crash soon: at once, in the middle of something that the disk does, or when the broker starts again. */
  private prepareCrash(step: number): void {
    const { random } = this.world
    const how = random.chance(0.6) ? 'power cut' : 'killed'
    const moment = random.weighted({ now: 2, operation: 6, twice: 2 })
    if (moment === 'operation') {
      this.trap = { operation: random.pick(DANGEROUS), how, left: random.between(0, 5) }
      this.trapSetAt = step
      return
    }
    this.spring(how)
    if (moment === 'twice') {
      this.trap = { operation: random.pick(DANGEROUS), how: 'power cut', left: random.between(0, 8) }
      this.trapSetAt = step
    }
  }

  private observe(operation: DiskOperation, path: string): void {
    const { report } = this.world
    report.count('events')
    if (operation === 'rename' && path.startsWith('checkpoint')) report.count('checkpoints')
    if (operation === 'write' && path === 'pages') report.count('pagesWritten')
    if (operation === 'open' && path.includes('cluster')) report.count('compactions')
    if (this.trap === null || this.trap.operation !== operation || this.trap.left-- > 0) return
    if (this.world.machine.broker === null) {
      report.count('crashesInRecovery')
      this.world.reference.startCutOff()
    }
    this.world.note('trapped', operation, path)
    this.spring(this.trap.how)
  }

  private change(step: number): void {
    const { random, machine, report, clock } = this.world
    const { faults } = machine.disk
    const what = random.weighted({ errors: 3, calm: 3, full: 2, wall: 2 })
    if (what === 'wall') {
      const by = Math.floor(random.chance(0.5) ? random.between(-5000, 5000) : random.between(-100, 100))
      report.count('wallJumps')
      this.world.note('wall clock jumps', by)
      this.world.reference.wallIsSet()
      clock.jumpWall(by)
      this.world.wallSetAt = clock.monotonic()
    } else if (what === 'calm') this.calm()
    else if (what === 'errors' && this.climate.errors) {
      faults.readError = random.pick([0, 0.005])
      faults.writeError = random.pick([0, 0, 0.01])
      faults.syncError = random.pick([0, 0, 0.01])
    } else if (what === 'full' && this.climate.fullDisk && this.fullUntil === 0) {
      report.count('outOfSpace')
      faults.capacity = machine.disk.used() + random.between(0, 40_000)
      this.world.note('disk full at', faults.capacity)
      this.fullUntil = step + random.between(20, 150)
    }
  }

  private flip(): void {
    const flipped = this.world.machine.disk.flip()
    if (flipped === undefined) return
    this.world.note('flipped bit', flipped.path, flipped.position)
    this.world.reference.bitFlipped()
  }
}
