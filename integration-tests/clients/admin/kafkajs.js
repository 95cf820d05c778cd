// kafkajs.js BOOTSTRAP TAG: every call of kafkajs' admin client that is not about security, each with its result as a line of
// JSON. A call that fails where it should not ends it with an error. What differs from run to run is replaced.
const { Kafka, logLevel, ConfigResourceTypes } = require('kafkajs')

const [bootstrap, tag] = process.argv.slice(2)
const kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING })
const admin = kafka.admin()
const topic = tag
const group = `${tag}-group`
let failed = 0

async function call(name, action, wrong) {
  let result, error
  try {
    result = await action()
  } catch (e) {
    error = e
  }
  const isRight = wrong ? error && error.message.includes(wrong) : !error
  failed += isRight ? 0 : 1
  const line = error ? error.message : JSON.stringify(result, (key, value) => (typeof value === 'bigint' ? `${value}` : value)) ?? ''
  const plain = line.replaceAll(tag, 'TAG').replaceAll(String(bootstrap.split(':')[1]), 'PORT').slice(0, 2000)
  console.log(`${isRight ? '' : 'UNEXPECTED '}kafkajs ${name} ${plain}`)
  return result
}

async function main() {
  await admin.connect()
  await call('createTopics', () => admin.createTopics({ topics: [{ topic, numPartitions: 2, configEntries: [{ name: 'retention.ms', value: '1000000' }] }] }))
  await call('createTopics again', () => admin.createTopics({ topics: [{ topic }] }))
  const producer = kafka.producer()
  await producer.connect()
  await producer.send({ topic, messages: [...Array(10).keys()].map((n) => ({ partition: 0, value: `v${n}`, timestamp: `${1700000000000 + n * 1000}` })) })
  await producer.disconnect()
  await call('listTopics', async () => (await admin.listTopics()).includes(topic))
  await call('fetchTopicMetadata', () => admin.fetchTopicMetadata({ topics: [topic] }))
  await call('createPartitions', () => admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] }))
  await call('createPartitions fewer', () => admin.createPartitions({ topicPartitions: [{ topic, count: 1 }] }), 'partitions')
  await call('fetchTopicOffsets', () => admin.fetchTopicOffsets(topic))
  await call('fetchTopicOffsetsByTimestamp', () => admin.fetchTopicOffsetsByTimestamp(topic, 1700000004500))
  await call('deleteTopicRecords', () => admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '4' }] }))
  await call('fetchTopicOffsets after', () => admin.fetchTopicOffsets(topic))
  await call('alterPartitionReassignments', () => admin.alterPartitionReassignments({ topics: [{ topic, partitionAssignment: [{ partition: 0, replicas: [1] }] }] }))
  await call('listPartitionReassignments', () => admin.listPartitionReassignments({ topics: [{ topic, partitions: [0] }] }))
  const of = [{ type: ConfigResourceTypes.TOPIC, name: topic, configNames: ['retention.ms', 'cleanup.policy'] }]
  await call('describeConfigs', () => admin.describeConfigs({ resources: of, includeSynonyms: true }))
  const set = (value) => [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries: [{ name: 'retention.ms', value }] }]
  await call('alterConfigs validate', () => admin.alterConfigs({ validateOnly: true, resources: set('9') }))
  await call('alterConfigs', () => admin.alterConfigs({ validateOnly: false, resources: set('2000000') }))
  await call('alterConfigs wrong', () => admin.alterConfigs({ validateOnly: false, resources: set('x') }), 'onfiguration')
  await call('describeConfigs after', () => admin.describeConfigs({ resources: of }))
  await call('setOffsets', () => admin.setOffsets({ groupId: group, topic, partitions: [{ partition: 0, offset: '6' }] }))
  await call('fetchOffsets', () => admin.fetchOffsets({ groupId: group, topics: [topic] }))
  await call('fetchOffsets of all', () => admin.fetchOffsets({ groupId: group }))
  await call('resetOffsets', () => admin.resetOffsets({ groupId: group, topic, earliest: true }))
  await call('fetchOffsets after', () => admin.fetchOffsets({ groupId: group, topics: [topic], resolveOffsets: true }))
  await call('listGroups', async () => (await admin.listGroups()).groups.find((g) => g.groupId === group))
  await call('describeGroups', () => admin.describeGroups([group]))
  await call('deleteGroups', () => admin.deleteGroups([group]))
  await call('deleteGroups again', () => admin.deleteGroups([group]), 'DeleteGroups')
  await call('describeCluster', async () => (({ brokers, controller }) => [brokers.length, controller])(await admin.describeCluster()))
  await call('deleteTopics', () => admin.deleteTopics({ topics: [topic] }))
  await call('deleteTopics again', () => admin.deleteTopics({ topics: [topic] }), 'topic')
  await admin.disconnect()
  process.exitCode = failed ? 1 : 0
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
