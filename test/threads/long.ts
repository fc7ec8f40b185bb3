import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, embedded } from '../../src/index.ts'
import { testProvider } from '../../src/testing/contracts/provider.ts'
import { claims, LIMIT } from '../client/claims.ts'

const options = { provider: embedded({ maxMessageBytes: LIMIT }), thread: 'worker' } as const

testProvider({
  name: 'file: in a thread',
  capabilities: claims,
  start: async () => {
    const directory = await mkdtemp(join(tmpdir(), 'millrace-client-'))
    const url = `file:${directory}`
    const holder = await connect(url, options)
    const stop = async () => {
      await holder.close()
      await rm(directory, { recursive: true })
    }
    return { url, options, stop }
  },
})
