import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, embedded } from '../../src/index.ts'
import { testProvider } from '../../src/testing/contracts/provider.ts'
import { claims, LIMIT } from './claims.ts'

const options = { provider: embedded({ maxMessageBytes: LIMIT }) }

testProvider({
  name: 'file:',
  capabilities: claims,
  start: async () => {
    const directory = await mkdtemp(join(tmpdir(), 'millrace-client-'))
    const url = `file:${directory}`
    // One connection throughout, so that a test does not close and open the journal by chance.
    const holder = await connect(url, options)
    const stop = async () => {
      await holder.close()
      await rm(directory, { recursive: true })
    }
    return { url, options, stop }
  },
})
