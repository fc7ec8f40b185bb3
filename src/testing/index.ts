/**
 * millrace/testing: for tests of applications a broker whose time is in the test's hands; for whoever writes a provider, a
 * store or a disk, the contract suites; and the simulation that the broker itself is proven by.
 */
export { type DatabaseSubject, testDatabase } from './contracts/database.ts'
export { type ProviderSubject, type SubjectBroker, testProvider } from './contracts/provider.ts'
export { type StoreFactory, type StoreFixture, storeContract } from './contracts/store.ts'
export { type DiskFault, type DiskFaults, type DiskOperation, FaultyDisk } from './faulty-disk.ts'
export { SeededRandom } from './random.ts'
export {
  type Invariant,
  Report,
  type SimulationOptions,
  type SimulationResult,
  simulate,
  Violation,
} from './simulation/index.ts'
export { TestBroker, type TestBrokerOptions, testBroker } from './test-broker.ts'
export { VirtualClock } from './virtual-clock.ts'
