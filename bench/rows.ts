export type Unit = 'msg/s' | 'ms' | 'µs/msg' | 'MiB' | 'B' | '%' | ''

/** One figure of the benchmark, measured once a round; all rows take turns, so that a slow minute hits all of them. */
export interface Row {
  readonly name: string
  readonly unit: Unit
  /** Of parts that have another. */
  readonly units?: Readonly<Record<string, Unit>>
  /** Runs once; answers the figures by their names ('' for the only one). */
  measure(): Promise<Readonly<Record<string, number>>>
}

export interface Scale {
  /** Seconds that a row should take in one round, about. */
  readonly seconds: number
  /** Parent directory of everything that is written; on the disk that is to be measured. */
  readonly directory: string
}
