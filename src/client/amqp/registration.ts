import type { Provider } from '../provider.ts'
import { joinAddresses } from './address.ts'

/** AMQP 1.0. Loaded when it is asked for: whoever stays in the process needs no network. */
export const amqp: Provider = {
  schemes: ['amqp', 'amqps', 'failover'],
  join: joinAddresses,
  connect: async (url, options) => (await import('./provider.ts')).connectAmqp(url, options),
}
