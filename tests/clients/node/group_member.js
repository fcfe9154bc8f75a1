// A process that is a member of several groups: group_member.js BOOTSTRAP RANK kafkajs:KIND ..., which tells what it
// owns and has seen as ../group_member.py does. NODE_PATH names the folder with kafkajs.

const { Kafka, logLevel } = require('kafkajs')

const [bootstrap, , ...groups] = process.argv.slice(2)
const kafka = new Kafka({ clientId: 'member', brokers: [bootstrap], logLevel: logLevel.NOTHING })
const tell = what => process.stdout.write(JSON.stringify(what) + '\n')
const consumers = []

const join = async group => {
  const consumer = kafka.consumer({
    groupId: group,
    sessionTimeout: 6000,
    heartbeatInterval: 500,
    maxWaitTimeInMs: 100,
    retry: { maxRetryTime: 1000 },
  })
  const owned = partitions => tell({ group, owned: partitions, at: Date.now() / 1000 })
  consumers.push([consumer, owned])
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => owned(payload.memberAssignment[group] || []))
  consumer.on(consumer.events.REBALANCING, () => owned([]))
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    // Of some errors, such as a generation that is over, it does not recover by itself.
    owned([])
    console.error(String(payload.error))
    if (!payload.restart) join(group)
  })
  await consumer.connect()
  await consumer.subscribe({ topics: [group], fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch, heartbeat }) => {
      tell({ group, seen: batch.messages.map(message => Number(message.value.toString())) })
      const next = String(Number(batch.lastOffset()) + 1)
      await consumer.commitOffsets([{ topic: batch.topic, partition: batch.partition, offset: next }])
      await heartbeat()
    },
  })
}

process.stdin.on('end', async () => {
  for (const [consumer, owned] of consumers) {
    owned([]) // It leaves without an event.
    await consumer.disconnect()
  }
  process.exit(0)
})
process.stdin.resume()
for (const name of groups) join(name.replace(':', '-'))
