/** Randomness: uniform in [0, 1). Deterministic in tests and simulation. */
export interface Random {
  next(): number
}
