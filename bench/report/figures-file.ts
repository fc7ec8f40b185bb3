import type { Curve } from '../curves.ts'

/** What a benchmark has written with --json, as far as a report needs it. */
export interface FiguresFile {
  readonly machine: string
  readonly rows: readonly FileRow[]
  /** Of a comparison with other brokers, who took part. */
  readonly brokers?: readonly Broker[]
  /** Who did not, and why. */
  readonly left?: readonly { readonly name: string; readonly why: string }[]
  /** In how many rounds a rate was not held, by broker and rate. */
  readonly lost?: Readonly<Record<string, number>>
}

export interface FileRow {
  readonly name: string
  /** '' for what the row is about. */
  readonly part: string
  readonly unit: string
  readonly median: number
  readonly min: number
  readonly max: number
  readonly rounds: number
  /** Round by round. */
  readonly values: readonly number[]
}

/** What bench:backlog has written. */
export interface BacklogFile {
  readonly machine: string
  readonly remarks: readonly string[]
  readonly figures: readonly {
    readonly name: string
    readonly value: number
    readonly unit: string
    readonly goal?: string
  }[]
}

/** What bench:growth has written. */
export interface CurvesFile {
  readonly machine: string
  /** Of which each point is the median; absent: it was measured once. */
  readonly rounds?: number
  readonly curves: readonly Curve[]
}

export interface Broker {
  readonly name: string
  readonly version: string
  readonly durability: string
  readonly client: string
  readonly duplicates: number
}

export function shown(value: number): string {
  return Number(value.toPrecision(3)).toLocaleString('en', { maximumSignificantDigits: 3 })
}

/** In how many rounds, of the row that has most. */
export function roundsOf({ rows }: FiguresFile): number {
  return Math.max(0, ...rows.map(({ rounds }) => rounds))
}
