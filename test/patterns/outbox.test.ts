import { testHalfMessages } from './half-messages-suite.ts'
import { testOutbox } from './outbox-suite.ts'
import { sqlite } from './subjects.ts'

testOutbox(sqlite)
testHalfMessages(sqlite)
