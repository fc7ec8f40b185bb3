import { connect, embedded } from '../../src/index.ts'
import { testProvider } from '../../src/testing/contracts/provider.ts'
import { claims, LIMIT } from './claims.ts'

const options = { provider: embedded({ maxMessageBytes: LIMIT }) }
let brokers = 0

testProvider({
  name: 'memory:',
  capabilities: { ...claims, lasting: false },
  start: async () => {
    const url = `memory:contract-${++brokers}`
    // The broker lives as long as somebody is connected.
    const holder = await connect(url, options)
    return { url, options, stop: () => holder.close() }
  },
})
