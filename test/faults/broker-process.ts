/**
 * `millrace serve`, which has loaded its program and waits to be told on what to begin: so a broker that was killed is
 * followed by another one within milliseconds.
 */
import { runCommandLine } from '../../src/cli/run.ts'
import '../../src/server/config/configuration.ts'
import '../../src/server/server.ts'

process.on('disconnect', () => process.exit())
process.once('message', (args: string[]) => void runCommandLine(args, new AbortController().signal))
process.send!('loaded')
