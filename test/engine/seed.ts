/** The seed of this run, printed by tests that use it; SEED=… replays one. */
export const seed: number = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
