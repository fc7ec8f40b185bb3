import '../../src/index.ts'
import { testProvider } from '../../src/testing/contracts/provider.ts'
import { claims, LIMIT } from '../client/claims.ts'
import { LocalBroker } from './local-broker.ts'

testProvider({
  name: 'amqp:',
  capabilities: { ...claims, lasting: false },
  start: async () => {
    const broker = await LocalBroker.start({ maxMessageBytes: LIMIT })
    return { url: broker.url, stop: () => broker.stop() }
  },
})
