import type { View } from './view.ts'

/** What a scenario works with: a folder that is deleted afterwards, and a screen. */
export interface Stage {
  readonly folder: string
  readonly view: View
  /** How large the scenario is made, as a share of its usual size. */
  readonly scale: number
  /** The file that a scenario which draws something draws it in; it stays. */
  readonly picture: string
  /** Ends what the scenario has started, in reverse order, also when it fails. */
  defer(end: () => unknown): void
}

/** What came out, with figures that are read from the databases when everything is over. */
export interface Report {
  readonly ok: boolean
  readonly figures: Readonly<Record<string, unknown>>
  /** For people. */
  readonly summary: readonly string[]
}

export interface Scenario {
  readonly title: string
  run(stage: Stage): Promise<Report>
}
