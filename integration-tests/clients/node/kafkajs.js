// kafkajs. Codecs beside gzip are packages of others; there is one for zstd only where Node.js has it itself.
const zlib = require('node:zlib')
const lz4 = require('lz4-napi')
const { Kafka, logLevel, CompressionTypes, CompressionCodecs } = require('kafkajs')

const { None, GZIP, Snappy, LZ4, ZSTD } = CompressionTypes
CompressionCodecs[Snappy] = require('kafkajs-snappy')
CompressionCodecs[LZ4] = () => ({ compress: (encoder) => lz4.compressFrame(encoder.buffer), decompress: (buffer) => lz4.decompressFrame(buffer) })
if (zlib.zstdCompressSync) {
  CompressionCodecs[ZSTD] = () => ({ compress: async (encoder) => zlib.zstdCompressSync(encoder.buffer), decompress: async (buffer) => zlib.zstdDecompressSync(buffer) })
}
const CODECS = { none: None, gzip: GZIP, snappy: Snappy, lz4: LZ4, ...(zlib.zstdCompressSync ? { zstd: ZSTD } : {}) }

module.exports = (bootstrap) => {
  const kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING, retry: { initialRetryTime: 100, maxRetryTime: 1000, retries: 20 } })
  let producer
  let readers = 0

  async function withAdmin(action) {
    const admin = kafka.admin()
    await admin.connect()
    try {
      return await action(admin)
    } finally {
      await admin.disconnect()
    }
  }

  const message = (r) => ({ partition: r.partition, key: r.key, value: r.value, timestamp: `${r.timeMs}` })

  return {
    codecs: Object.keys(CODECS),

    create: (topic, numPartitions, configs) => withAdmin((admin) => admin.createTopics({
      topics: [{ topic, numPartitions, configEntries: Object.entries(configs).map(([name, value]) => ({ name, value })) }]
    })),

    async send(topic, codec, acks, records) {
      if (!producer) {
        producer = kafka.producer()
        await producer.connect()
      }
      await producer.send({ topic, acks, compression: CODECS[codec], messages: records.map(message) })
    },

    async read(topic, from, until, committed = false) {
      const consumer = kafka.consumer({ groupId: `${topic}-reader-${readers++}`, maxWaitTimeInMs: 100, readUncommitted: !committed })
      await consumer.connect()
      await consumer.subscribe({ topics: [topic], fromBeginning: true })
      const seen = []
      await new Promise((resolve, reject) => {
        consumer.run({
          autoCommit: false,
          eachMessage: async ({ message }) => {
            if (until(seen)) return
            seen.push({ value: message.value.toString() })
            if (until(seen)) resolve()
          }
        }).catch(reject)
        if (from > 0) consumer.seek({ topic, partition: 0, offset: `${from}` })
      })
      await consumer.disconnect()
      return seen
    },

    offsetAt: (topic, ms) => withAdmin(async (admin) => Number((await admin.fetchTopicOffsetsByTimestamp(topic, ms))[0].offset)),

    async join(groupId, topic, each) {
      const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 100, heartbeatInterval: 300, sessionTimeout: 6000, rebalanceTimeout: 6000 })
      await consumer.connect()
      await consumer.subscribe({ topics: [topic], fromBeginning: true })
      await consumer.run({ eachMessage: async ({ message }) => each({ value: message.value.toString() }) })
      return () => consumer.disconnect()
    },

    async transact(transactionalId, topic, all) {
      const transactional = kafka.producer({ transactionalId, idempotent: true, maxInFlightRequests: 1 })
      await transactional.connect()
      for (const value of all) {
        const transaction = await transactional.transaction()
        await transaction.send({ topic, messages: [{ value }] })
        await (value === 'aborted' ? transaction.abort() : transaction.commit())
      }
      await transactional.disconnect()
    }
  }
}
