import { Figures } from './figures.ts'
import type { Row } from './rows.ts'

/** All rows take turns, so many times. */
export async function inRounds(rows: readonly Row[], rounds: number): Promise<Figures> {
  const figures = new Figures()
  for (let round = 1; round <= rounds; round++) {
    for (const row of rows) {
      process.stderr.write(`round ${round} of ${rounds}: ${row.name}\n`)
      figures.note(row, await row.measure())
    }
  }
  return figures
}
