// @confluentinc/kafka-javascript, librdkafka with the interface of kafkajs. What kafkajs takes with each send is a setting
// of the producer here.
const { Kafka } = require('@confluentinc/kafka-javascript').KafkaJS

module.exports = (bootstrap, next) => {
  const kafka = new Kafka({ 'bootstrap.servers': bootstrap, log_level: 0, 'topic.metadata.refresh.interval.ms': 1000 })
  const producers = new Map()
  let readers = 0

  async function using(client, action) {
    await client.connect()
    try {
      return await action(client)
    } finally {
      await client.disconnect()
    }
  }

  function consumer(groupId, options) {
    const protocol = next ? { 'group.protocol': 'consumer' } : { 'heartbeat.interval.ms': 300, 'session.timeout.ms': 6000 }
    return kafka.consumer({ 'group.id': groupId, 'auto.offset.reset': 'earliest', 'fetch.wait.max.ms': 100, ...protocol, ...options })
  }

  async function producer(codec, acks) {
    const key = `${codec} ${acks}`
    if (!producers.has(key)) {
      const made = kafka.producer({ kafkaJS: { acks, compression: codec, idempotent: acks === -1 }, 'linger.ms': 5 })
      await made.connect()
      producers.set(key, made)
    }
    return producers.get(key)
  }

  return {
    codecs: ['none', 'gzip', 'snappy', 'lz4', 'zstd'],

    create: (topic, numPartitions, configs) => using(kafka.admin(), (admin) => admin.createTopics({
      topics: [{ topic, numPartitions, configEntries: Object.entries(configs).map(([name, value]) => ({ name, value })) }]
    })),

    async send(topic, codec, acks, records) {
      const messages = records.map((r) => ({ partition: r.partition, key: r.key, value: r.value, timestamp: `${r.timeMs}` }))
      await (await producer(codec, acks)).send({ topic, messages })
    },

    read: (topic, from, until, committed = false) => {
      const options = { 'enable.auto.commit': false, 'isolation.level': committed ? 'read_committed' : 'read_uncommitted' }
      return using(consumer(`${topic}-reader-${readers++}`, options), async (client) => {
        await client.subscribe({ topics: [topic] })
        const seen = []
        await new Promise((resolve, reject) => {
          client.run({
            eachMessage: async ({ message }) => {
              if (until(seen)) return
              seen.push({ value: message.value.toString() })
              if (until(seen)) resolve()
            }
          }).catch(reject)
          if (from > 0) client.seek({ topic, partition: 0, offset: `${from}` })
        })
        return seen
      })
    },

    offsetAt: (topic, ms) => using(kafka.admin(), async (admin) => Number((await admin.fetchTopicOffsetsByTimestamp(topic, ms))[0].offset)),

    administer: (topic, expect) => using(kafka.admin(), async (admin) => {
      expect((await admin.listTopics()).includes(topic), true, 'listTopics')
      expect((await admin.fetchTopicMetadata({ topics: [topic] }))[0].partitions.length, 2, 'fetchTopicMetadata')
      await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '4' }] })
      const offsets = (await admin.fetchTopicOffsets(topic)).find((found) => found.partition === 0)
      expect([offsets.low, offsets.high], ['4', '20'], 'fetchTopicOffsets')
      const member = consumer(topic, {})
      await member.connect()
      await member.commitOffsets([{ topic, partition: 0, offset: '6' }])
      await member.disconnect()
      expect((await admin.fetchOffsets({ groupId: topic, topics: [topic] }))[0].partitions[0].offset, '6', 'fetchOffsets')
      expect((await admin.listGroups()).groups.some((group) => group.groupId === topic), true, 'listGroups')
      expect((await admin.describeGroups([topic])).groups[0].members.length, 0, 'describeGroups')
      await admin.deleteGroups([topic])
      await admin.deleteTopics({ topics: [topic] })
      expect((await admin.listTopics()).includes(topic), false, 'deleteTopics')
    }),

    async join(groupId, topic, each) {
      const client = consumer(groupId, { 'auto.commit.interval.ms': 100 })
      await client.connect()
      await client.subscribe({ topics: [topic] })
      await client.run({ eachMessage: async ({ message }) => each({ value: message.value.toString() }) })
      return () => client.disconnect()
    },

    transact: (transactionalId, topic, all) => using(kafka.producer({ 'transactional.id': transactionalId }), async (transactional) => {
      for (const value of all) {
        const transaction = await transactional.transaction()
        await transaction.send({ topic, messages: [{ value }] })
        await (value === 'aborted' ? transaction.abort() : transaction.commit())
      }
    })
  }
}
