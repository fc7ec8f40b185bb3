/** The patterns on PostgreSQL in this process. It takes seconds to start, so that everything runs on one. */
import { after } from 'node:test'
import { PGlite } from '@electric-sql/pglite'
import { fromPglite } from '../../src/patterns/index.ts'
import { testDatabase } from '../../src/testing/index.ts'
import { testHalfMessages } from './half-messages-suite.ts'
import { testInboxFaults } from './inbox-faults-suite.ts'
import { testInbox } from './inbox-suite.ts'
import { testOutbox } from './outbox-suite.ts'
import { prepare, type Subject } from './subjects.ts'

const pglite = await PGlite.create()
after(() => pglite.close())

testDatabase({
  name: 'PGlite',
  concurrent: false,
  open: async () => ({ database: fromPglite(pglite), close: async () => {} }),
})

const onPglite: Subject = {
  name: 'PGlite',
  concurrent: false,
  open: async () => {
    const database = fromPglite(pglite)
    await prepare(database)
    return { database, [Symbol.asyncDispose]: async () => {} }
  },
}

testOutbox(onPglite)
testInbox(onPglite)
testInboxFaults(onPglite)
testHalfMessages(onPglite)
