// The kafkajs client behind the interface of ../programs.md. NODE_PATH names the folder with kafkajs and its codecs.
//
// A kafkajs consumer is always a member of a group, so `consume` goes one level deeper, to the library's own Broker.fetch:
// the same request, decoder and codecs, without the group.

const readline = require('readline')
const { CompressionTypes, CompressionCodecs, ConfigResourceTypes, Kafka, logLevel } = require('kafkajs')
const snappy = require('snappyjs')
const lz4 = require('lz4js')
const xxh32 = require('lz4js/xxh32')
const zstd = require('@bokuweb/zstd-wasm')

const XERIAL = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0])
const LIMIT = 16 * 1024 * 1024

// Raw snappy is sent; what comes back may also be the framed form of the Java client.
const decompressSnappy = buffer => {
  if (!buffer.subarray(0, 8).equals(XERIAL)) {
    return Buffer.from(snappy.uncompress(buffer))
  }
  const blocks = []
  for (let at = 16; at < buffer.length; ) {
    const size = buffer.readUInt32BE(at)
    blocks.push(Buffer.from(snappy.uncompress(buffer.subarray(at + 4, at + 4 + size))))
    at += 4 + size
  }
  return Buffer.concat(blocks)
}

// lz4js writes frames of linked blocks, which no Kafka takes, so the frame around its blocks is made here.
const compressLz4 = buffer => {
  const BLOCK = 4 * 1024 * 1024
  const descriptor = Buffer.from([0x60, 0x70])
  const parts = [Buffer.from([0x04, 0x22, 0x4d, 0x18]), descriptor, Buffer.from([(xxh32.hash(0, descriptor, 0, 2) >> 8) & 0xff])]
  for (let at = 0; at < buffer.length; at += BLOCK) {
    const block = buffer.subarray(at, at + BLOCK)
    const target = Buffer.alloc(lz4.compressBound(block.length))
    const size = lz4.compressBlock(block, target, 0, block.length, new Uint32Array(1 << 16))
    const stored = size === 0 || size >= block.length
    const head = Buffer.alloc(4)
    head.writeUInt32LE(stored ? (0x80000000 | block.length) >>> 0 : size)
    parts.push(head, stored ? block : target.subarray(0, size))
  }
  return Buffer.concat([...parts, Buffer.alloc(4)])
}

const codec = (compress, decompress) => () => ({
  compress: async encoder => Buffer.from(compress(encoder.buffer)),
  decompress: async buffer => Buffer.from(decompress(buffer)),
})
CompressionCodecs[CompressionTypes.Snappy] = codec(snappy.compress, decompressSnappy)
CompressionCodecs[CompressionTypes.LZ4] = codec(compressLz4, lz4.decompress)
CompressionCodecs[CompressionTypes.ZSTD] = codec(zstd.compress, zstd.decompress)

const TYPES = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 }
const base64 = buffer => (buffer === null || buffer === undefined ? null : buffer.toString('base64'))
const bytes = text => (text === null ? null : Buffer.from(text, 'base64'))

const clients = new Map()

const connect = async bootstrap => {
  if (!clients.has(bootstrap)) {
    const kafka = new Kafka({ clientId: 'scenario', brokers: [bootstrap], logLevel: logLevel.ERROR })
    const admin = kafka.admin()
    await admin.connect()
    const createCluster = Object.getOwnPropertySymbols(kafka).find(s => String(s).includes('createCluster'))
    const cluster = kafka[createCluster]({})
    await cluster.connect()
    clients.set(bootstrap, { kafka, admin, cluster })
  }
  return clients.get(bootstrap)
}

const operations = {
  async create_topic({ admin }, { topic, partitions, configs }) {
    const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }))
    await admin.createTopics({
      topics: [{ topic, numPartitions: partitions, replicationFactor: 1, configEntries }],
      waitForLeaders: true,
    })
    return null
  },
  list_topics: async ({ admin }) => admin.listTopics(),
  async describe_topic({ admin }, { topic }) {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
    return topics[0].partitions
      .map(p => ({ partition: p.partitionId, leader: p.leader, replicas: p.replicas, isr: p.isr }))
      .sort((a, b) => a.partition - b.partition)
  },
  async describe_config({ admin }, { topic }) {
    const { resources } = await admin.describeConfigs({
      resources: [{ type: ConfigResourceTypes.TOPIC, name: topic }],
      includeSynonyms: false,
    })
    return Object.fromEntries(resources[0].configEntries.map(e => [e.configName, e.configValue]))
  },
  async alter_config({ admin }, { topic, configs }) {
    const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }))
    await admin.alterConfigs({
      validateOnly: false,
      resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries }],
    })
    return null
  },
  async create_partitions({ admin }, { topic, total }) {
    await admin.createPartitions({ topicPartitions: [{ topic, count: total }] })
    return null
  },
  async delete_records({ admin }, { topic, partition, offset }) {
    // deleteTopicRecords forgets to ask for the topic's metadata; this call does.
    await admin.fetchTopicOffsets(topic)
    await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(offset) }] })
    // The library keeps the low watermark of the answer to itself.
    const offsets = await admin.fetchTopicOffsets(topic)
    return Number(offsets.find(o => o.partition === partition).low)
  },
  async delete_topic({ admin }, { topic }) {
    await admin.deleteTopics({ topics: [topic] })
    return null
  },
  async describe_cluster({ admin }) {
    const { brokers, controller, clusterId } = await admin.describeCluster()
    return { cluster_id: clusterId, controller, nodes: brokers.map(b => [b.nodeId, b.host, b.port]) }
  },
  async offsets({ admin }, { topic, partition }) {
    const found = (await admin.fetchTopicOffsets(topic)).find(o => o.partition === partition)
    return [Number(found.low), Number(found.high)]
  },
  async offset_for_timestamp({ cluster }, { topic, partition, timestamp }) {
    // admin.fetchTopicOffsetsByTimestamp replaces "none" by the end of the partition; below it stands the answer itself.
    await cluster.addTargetTopic(topic)
    const broker = await cluster.findBroker({ nodeId: String(cluster.findTopicPartitionMetadata(topic)[0].leader) })
    const { responses } = await broker.listOffsets({
      isolationLevel: 0,
      topics: [{ topic, partitions: [{ partition, timestamp }] }],
    })
    return Number(responses[0].partitions[0].offset)
  },
  async produce({ kafka }, { topic, codec, idempotent, records }) {
    const producer = kafka.producer({ idempotent })
    await producer.connect()
    try {
      const messages = records.map(({ partition, key, value, headers, timestamp }) => {
        const named = {}
        for (const [name, content] of headers) {
          named[name] = name in named ? [].concat(named[name], [bytes(content)]) : bytes(content)
        }
        return { partition, key: bytes(key), value: bytes(value), headers: named, timestamp: String(timestamp) }
      })
      const sent = await producer.send({
        topic,
        messages,
        compression: TYPES[codec],
        acks: idempotent ? -1 : 1,
      })
      // One batch a partition: its base offset is all that comes back.
      const next = new Map(sent.map(s => [s.partition, Number(s.baseOffset)]))
      return records.map(({ partition }) => {
        const offset = next.get(partition)
        next.set(partition, offset + 1)
        return offset
      })
    } finally {
      await producer.disconnect()
    }
  },
  async transact({ kafka }, { topic, id, turns }) {
    const producer = kafka.producer({ transactionalId: id, idempotent: true, maxInFlightRequests: 1 })
    await producer.connect()
    try {
      for (const { values, offset, commit } of turns) {
        const transaction = await producer.transaction()
        await transaction.send({ topic, messages: values.map(value => ({ partition: 0, value: bytes(value) })) })
        const topics = [{ topic, partitions: [{ partition: 0, offset: String(offset) }] }]
        await transaction.sendOffsets({ consumerGroupId: id, topics })
        await (commit ? transaction.commit() : transaction.abort())
      }
    } finally {
      await producer.disconnect()
    }
    return null
  },
  async read_in_group({ kafka }, { topic, group, count }) {
    const consumer = kafka.consumer({ groupId: group, maxWaitTimeInMs: 100 })
    await consumer.connect()
    try {
      await consumer.subscribe({ topics: [topic], fromBeginning: true })
      const values = []
      await new Promise((resolve, reject) => {
        setTimeout(() => reject(new Error(`only ${values.length} records`)), 60000).unref()
        consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error))
        const eachMessage = async ({ message }) => {
          values.push(base64(message.value))
          if (values.length === count) resolve()
        }
        consumer.run({ eachMessage }).catch(reject)
      })
      return values
    } finally {
      await consumer.disconnect()
    }
  },
  async consume({ cluster }, { topic, partition, offset, count }) {
    await cluster.addTargetTopic(topic)
    const broker = await cluster.findBroker({ nodeId: String(cluster.findTopicPartitionMetadata(topic)[0].leader) })
    let at = offset
    if (offset === -2) {
      const { responses } = await broker.listOffsets({
        isolationLevel: 0,
        topics: [{ topic, partitions: [{ partition, timestamp: -2 }] }],
      })
      at = Number(responses[0].partitions[0].offset)
    }
    const records = []
    const deadline = Date.now() + 30000
    while (records.length < count && Date.now() < deadline) {
      const { responses } = await broker.fetch({
        maxWaitTime: 500,
        minBytes: 1,
        maxBytes: LIMIT,
        isolationLevel: 0,
        topics: [{ topic, partitions: [{ partition, fetchOffset: String(at), maxBytes: LIMIT }] }],
      })
      for (const message of responses[0].partitions[0].messages) {
        if (Number(message.offset) < at) continue // A batch always comes whole.
        at = Number(message.offset) + 1
        records.push({
          partition,
          offset: Number(message.offset),
          timestamp: Number(message.timestamp),
          key: base64(message.key),
          value: base64(message.value),
          headers: Object.entries(message.headers).flatMap(([name, content]) =>
            [].concat(content).map(one => [name, base64(one)])
          ),
        })
      }
    }
    return records
  },
}

const main = async () => {
  await zstd.init()
  for await (const line of readline.createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    const request = JSON.parse(line)
    let answer
    try {
      answer = { result: await operations[request.op](await connect(request.bootstrap), request) }
    } catch (error) {
      console.error(error)
      answer = { error: String(error) }
    }
    process.stdout.write(JSON.stringify(answer) + '\n')
  }
  process.exit(0)
}

main()
