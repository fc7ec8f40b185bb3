import type { Driver } from './driver.ts'

export type DriverName = 'millrace' | 'amqplib' | 'bullmq' | 'nats' | 'kafka' | 'mqtt' | 'rocketmq'

const drivers: Readonly<Record<DriverName, () => Promise<(url: string) => Promise<Driver>>>> = {
  millrace: async () => (await import('./drivers/millrace.ts')).open,
  amqplib: async () => (await import('./drivers/amqplib.ts')).open,
  bullmq: async () => (await import('./drivers/bullmq.ts')).open,
  nats: async () => (await import('./drivers/nats.ts')).open,
  kafka: async () => (await import('./drivers/kafka.ts')).open,
  rocketmq: async () => (await import('./drivers/rocketmq.ts')).open,
  mqtt: async () => (await import('./drivers/mqtt.ts')).open,
}

export async function openDriver(name: DriverName, url: string): Promise<Driver> {
  const open = await drivers[name]()
  return await open(url)
}
