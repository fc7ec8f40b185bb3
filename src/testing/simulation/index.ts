export { Report } from './report.ts'
export { type SimulationOptions, type SimulationResult, simulate } from './simulation.ts'
export { type Invariant, Violation } from './violation.ts'
