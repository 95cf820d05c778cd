// @platformatic/kafka. It has zstd where Node.js has it.
const zlib = require('node:zlib')
const { Admin, Consumer, Producer, stringSerializers, stringDeserializers } = require('@platformatic/kafka')

module.exports = (bootstrap, next) => {
  const base = { clientId: 'platformatic', bootstrapBrokers: [bootstrap], retries: 100, retryDelay: 100 }
  let producer
  let readers = 0

  async function close(client, action) {
    try {
      return await action(client)
    } finally {
      // A consumer is told to end its streams.
      await (client instanceof Consumer ? client.close(true) : client.close())
    }
  }

  function consumer(groupId, options) {
    const protocol = next ? { groupProtocol: 'consumer' } : { heartbeatInterval: 300, sessionTimeout: 6000, rebalanceTimeout: 6000 }
    return new Consumer({ ...base, groupId, deserializers: stringDeserializers, maxWaitTime: 100, minBytes: 1, ...protocol, ...options })
  }

  return {
    codecs: ['none', 'gzip', 'snappy', 'lz4', ...(zlib.zstdCompressSync ? ['zstd'] : [])],

    create: (topic, partitions, configs) => close(new Admin(base), (admin) => admin.createTopics({
      topics: [topic], partitions, replicas: 1, configs: Object.entries(configs).map(([name, value]) => ({ name, value }))
    })),

    async send(topic, compression, acks, records) {
      producer ??= new Producer({ ...base, serializers: stringSerializers })
      await producer.send({
        acks, compression, idempotent: acks === -1,
        messages: records.map((r) => ({ topic, partition: r.partition, key: r.key, value: r.value, timestamp: BigInt(r.timeMs) }))
      })
    },

    read: (topic, from, until, committed = false) => close(consumer(`${topic}-reader-${readers++}`, { isolationLevel: committed ? 1 : 0 }), async (client) => {
      const stream = await client.consume({ autocommit: false, topics: [topic], mode: 'manual', offsets: [{ topic, partition: 0, offset: BigInt(from) }] })
      const seen = []
      for await (const message of stream) {
        seen.push({ value: message.value })
        if (until(seen)) break
      }
      return seen
    }),

    offsetAt: (topic, ms) => close(consumer(`${topic}-time`, {}), async (client) =>
      Number((await client.listOffsets({ topics: [topic], partitions: { [topic]: [0] }, timestamp: BigInt(ms) })).get(topic)[0])),

    administer: (topic, expect) => close(new Admin(base), async (admin) => {
      expect((await admin.listTopics()).includes(topic), true, 'listTopics')
      await admin.createPartitions({ topics: [{ name: topic, count: 3, assignments: [{ brokerIds: [1] }] }] })
      const resource = { resourceType: 2, resourceName: topic }
      await admin.incrementalAlterConfigs({ resources: [{ ...resource, configs: [{ name: 'retention.ms', configOperation: 0, value: '2000000' }] }] })
      const [described] = await admin.describeConfigs({ resources: [{ ...resource, configurationKeys: ['retention.ms'] }] })
      expect(described.configs[0].value, '2000000', 'describeConfigs')
      await admin.alterConsumerGroupOffsets({ groupId: topic, topics: [{ name: topic, partitionOffsets: [{ partition: 0, offset: 6n }] }] })
      const [committed] = await admin.listConsumerGroupOffsets({ groups: [topic] })
      expect(Number(committed.topics[0].partitions[0].committedOffset), 6, 'listConsumerGroupOffsets')
      expect((await admin.listGroups()).has(topic), true, 'listGroups')
      expect((await admin.describeGroups({ groups: [topic] })).get(topic).state, 'EMPTY', 'describeGroups')
      await admin.deleteGroups({ groups: [topic] })
      await admin.deleteTopics({ topics: [topic] })
      expect((await admin.listTopics()).includes(topic), false, 'deleteTopics')
    }),

    async join(groupId, topic, each) {
      let client, stream
      let ended = false
      // A stream that has failed is opened again, as an application would.
      const run = async () => {
        while (!ended) {
          client = consumer(groupId, {})
          try {
            stream = await client.consume({ topics: [topic], mode: 'committed', fallbackMode: 'earliest', autocommit: true })
            for await (const message of stream) each({ value: message.value })
          } catch (error) {
            if (!ended) await client.close(true).catch(() => {})
          }
        }
      }
      const running = run()
      return async () => {
        ended = true
        await stream.close()
        await client.close(true)
        await running
      }
    },

    async transact(transactionalId, topic, all) {
      await close(new Producer({ ...base, transactionalId, idempotent: true, serializers: stringSerializers }), async (client) => {
        for (const value of all) {
          const transaction = await client.beginTransaction()
          await transaction.send({ messages: [{ topic, partition: 0, value }] })
          await (value === 'aborted' ? transaction.abort() : transaction.commit())
        }
      })
    }
  }
}
