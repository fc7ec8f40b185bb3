import { round3 } from '../statistics.ts'
import type { Seen } from './broker-process.ts'

export type Unit = 'msg/s' | 's' | 'MiB' | 'µs/msg' | 'ms' | '' | 'reads'

/** A figure, and between what it should be: wide for --check, as the design has it for people. */
interface Figure {
  readonly name: string
  readonly value: number
  readonly unit: Unit
  readonly goal: string | undefined
  readonly sane: Bounds | undefined
}

export interface Bounds {
  readonly least?: number
  readonly most?: number
}

/** What has been found out, printed as it comes. */
export class Report {
  readonly machine: string
  readonly remarks: string[] = []
  readonly figures: Figure[] = []

  constructor(machine: string) {
    this.machine = machine
    console.log(machine)
  }

  remark(text: string): void {
    this.remarks.push(text)
    console.log(text)
  }

  figure(name: string, value: number, unit: Unit, more: { goal?: string; sane?: Bounds } = {}): void {
    const rounded = round3(value)
    this.figures.push({ name, value: rounded, unit, goal: more.goal, sane: more.sane })
    const goal = more.goal ? `  (${more.goal})` : ''
    console.log(`${name.padEnd(64)} ${rounded.toLocaleString('en').padStart(12)} ${unit}${goal}`)
  }

  /** Rate, processor time and memory of a step that moved messages. */
  step(name: string, seen: Seen): number {
    const rate = (seen.count / seen.milliseconds) * 1000
    this.figure(name, rate, 'msg/s')
    this.figure(`${name}, processor`, (seen.processor / seen.count) * 1000, 'µs/msg')
    this.memory(name, seen)
    return rate
  }

  memory(name: string, { residentPeak, longestDelay }: Seen): void {
    this.figure(`${name}, resident at most`, residentPeak / 2 ** 20, 'MiB', {
      goal: 'at most 512',
      sane: { most: 768 },
    })
    this.figure(`${name}, longest stop of the event loop`, longestDelay, 'ms')
  }

  /** Whether everything is within its wide bounds; says what is not. */
  check(): boolean {
    const wrong = this.figures.filter(
      ({ value, sane }) => sane && (value < (sane.least ?? -Infinity) || value > (sane.most ?? Infinity)),
    )
    for (const { name, value, unit, sane } of wrong) {
      console.log(`FAILED: ${name} is ${value} ${unit}, which is not ${describe(sane!)}`)
    }
    return wrong.length === 0
  }
}

function describe({ least, most }: Bounds): string {
  return [least === undefined ? '' : `at least ${least}`, most === undefined ? '' : `at most ${most}`]
    .filter((text) => text !== '')
    .join(' and ')
}
