/** The process that sends and receives: one for each broker, so that its code stays warm, and none shares its processor time. */
import type { Driver } from './driver.ts'
import type { Answer, Order } from './generator.ts'
import { Loads } from './loads.ts'
import { openDriver } from './open-driver.ts'
import { Missing } from './peer.ts'

let driver: Driver | undefined
let loads: Loads | undefined

async function obey(order: Order): Promise<unknown> {
  switch (order.do) {
    case 'open':
      driver = await openDriver(order.driver, order.url)
      loads = await Loads.on(driver)
      return undefined
    case 'throughput':
      return await loads!.throughput(order.seconds)
    case 'latency':
      return await loads!.latency(order.rate, order.seconds)
    case 'close':
      await driver?.close()
      process.disconnect()
      return undefined
  }
}

process.on('message', (order: Order) => {
  obey(order).then(
    (result) => answer({ result }),
    (error: unknown) =>
      answer({
        failure: error instanceof Error ? (error.stack ?? error.message) : String(error),
        missing: error instanceof Missing ? error.message : undefined,
      }),
  )
})

function answer(what: Answer): void {
  if (process.connected) process.send!(what)
}
