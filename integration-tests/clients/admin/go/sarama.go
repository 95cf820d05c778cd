package main

import (
	"time"

	"github.com/IBM/sarama"
)

func saramaCalls(bootstrap string) {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.Producer.Return.Successes = true
	admin, err := sarama.NewClusterAdmin([]string{bootstrap}, config)
	if err != nil {
		panic(err)
	}
	defer func() { _ = admin.Close() }()
	topic, group := tag, tag+"-group"
	text := func(value string) *string { return &value }
	do := func(name string, result any, err error, right ...string) { show("sarama "+name, result, err, right...) }

	detail := &sarama.TopicDetail{NumPartitions: 2, ReplicationFactor: 1, ConfigEntries: map[string]*string{"retention.ms": text("1000000")}}
	do("CreateTopic validate", nil, admin.CreateTopic(topic, detail, true))
	do("CreateTopic", nil, admin.CreateTopic(topic, detail, false))
	do("CreateTopic again", nil, admin.CreateTopic(topic, detail, false), "exists")
	producer, err := sarama.NewSyncProducer([]string{bootstrap}, config)
	if err != nil {
		panic(err)
	}
	defer func() { _ = producer.Close() }()
	for n := 0; n < 10; n++ {
		message := &sarama.ProducerMessage{Topic: topic, Key: sarama.StringEncoder("k"), Value: sarama.StringEncoder("v"), Timestamp: time.UnixMilli(1_700_000_000_000)}
		if _, _, err := producer.SendMessage(message); err != nil {
			do("SendMessage", nil, err)
		}
	}
	topics, err := admin.ListTopics()
	do("ListTopics", topics[topic], err)
	described, err := admin.DescribeTopics([]string{topic})
	do("DescribeTopics", described, err)
	do("CreatePartitions validate", nil, admin.CreatePartitions(topic, 3, nil, true))
	do("CreatePartitions", nil, admin.CreatePartitions(topic, 3, nil, false))
	do("CreatePartitions fewer", nil, admin.CreatePartitions(topic, 1, nil, false), "partition")
	do("AlterPartitionReassignments", nil, admin.AlterPartitionReassignments(topic, [][]int32{{1}, {1}, {1}}))
	reassigning, err := admin.ListPartitionReassignments(topic, []int32{0, 1})
	do("ListPartitionReassignments", reassigning, err)
	do("DeleteRecords", nil, admin.DeleteRecords(topic, map[int32]int64{0: 0, 1: 0}))

	of := sarama.ConfigResource{Type: sarama.TopicResource, Name: topic}
	entries, err := admin.DescribeConfig(of)
	do("DescribeConfig", entries, err)
	several, err := admin.DescribeConfigs([]*sarama.ConfigResource{{Type: sarama.TopicResource, Name: topic, ConfigNames: []string{"retention.ms", "cleanup.policy"}}}, sarama.DescribeConfigsOptions{})
	do("DescribeConfigs", several, err)
	do("AlterConfig validate", nil, admin.AlterConfig(sarama.TopicResource, topic, map[string]*string{"retention.ms": text("9")}, true))
	do("AlterConfig", nil, admin.AlterConfig(sarama.TopicResource, topic, map[string]*string{"retention.ms": text("1000001")}, false))
	edit := func(op sarama.IncrementalAlterConfigsOperation, name string, value *string) map[string]sarama.IncrementalAlterConfigsEntry {
		return map[string]sarama.IncrementalAlterConfigsEntry{name: {Operation: op, Value: value}}
	}
	do("IncrementalAlterConfig", nil, admin.IncrementalAlterConfig(sarama.TopicResource, topic, edit(sarama.IncrementalAlterConfigsOperationSet, "retention.bytes", text("9")), false))
	do("IncrementalAlterConfig wrong", nil, admin.IncrementalAlterConfig(sarama.TopicResource, topic, edit(sarama.IncrementalAlterConfigsOperationSet, "retention.bytes", text("x")), false), "configuration")
	loggers := sarama.BrokerLoggerResource
	do("IncrementalAlterConfig of a logger", nil, admin.IncrementalAlterConfig(loggers, "1", edit(sarama.IncrementalAlterConfigsOperationSet, "root", text("INFO")), false))
	levels, err := admin.DescribeConfig(sarama.ConfigResource{Type: loggers, Name: "1", ConfigNames: []string{"root"}})
	do("DescribeConfig of a logger", levels, err)
	do("IncrementalAlterConfig of a logger back", nil, admin.IncrementalAlterConfig(loggers, "1", edit(sarama.IncrementalAlterConfigsOperationDelete, "root", nil), false), "not allowed")

	committed, err := admin.AlterConsumerGroupOffsets(group, map[string]map[int32]sarama.OffsetAndMetadata{topic: {0: {Offset: 0}, 1: {Offset: 0}}}, nil)
	do("AlterConsumerGroupOffsets", committed, err)
	groups, err := admin.ListConsumerGroups()
	_, found := groups[group]
	do("ListConsumerGroups", found, err)
	groupsFound, err := admin.DescribeConsumerGroups([]string{group})
	do("DescribeConsumerGroups", groupsFound, err)
	offsets, err := admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: {0, 1, 2}})
	do("ListConsumerGroupOffsets", offsets, err)
	batch, err := admin.ListConsumerGroupOffsetsBatch(map[string]map[string][]int32{group: {topic: {0}}})
	do("ListConsumerGroupOffsetsBatch", batch, err)
	listed, err := admin.ListOffsets(map[string]map[int32]int64{topic: {0: sarama.OffsetOldest, 1: sarama.OffsetNewest}}, nil)
	do("ListOffsets", listed[topic][0] != nil && listed[topic][1] != nil, err)
	do("DeleteConsumerGroupOffset", nil, admin.DeleteConsumerGroupOffset(group, topic, 1))
	coordinator, err := admin.Coordinator(group)
	do("Coordinator", coordinator.ID(), err)
	left, err := admin.RemoveMemberFromConsumerGroup(group, []string{"nobody"})
	do("RemoveMemberFromConsumerGroup", left, err)
	do("DeleteConsumerGroup", nil, admin.DeleteConsumerGroup(group))
	do("DeleteConsumerGroup again", nil, admin.DeleteConsumerGroup(group), "group")

	brokers, controller, err := admin.DescribeCluster()
	do("DescribeCluster", []any{len(brokers), controller}, err)
	asked, err := admin.Controller()
	do("Controller", asked.ID(), err)
	dirs, err := admin.DescribeLogDirs([]int32{1})
	do("DescribeLogDirs", len(dirs[1]), err)
	elected, err := admin.ElectLeaders(sarama.PreferredElection, map[string][]int32{topic: {0}})
	do("ElectLeaders", elected, err)
	_, err = admin.UpdateFeatures([]sarama.FeatureUpdate{{Feature: "no.such.feature", MaxVersionLevel: 1}})
	do("UpdateFeatures unknown", nil, err, "update version")
	entity := []sarama.QuotaEntityComponent{{EntityType: sarama.QuotaEntityClientID, MatchType: sarama.QuotaMatchExact, Name: tag}}
	do("AlterClientQuotas", nil, admin.AlterClientQuotas(entity, sarama.ClientQuotasOp{Key: "producer_byte_rate", Value: 1e9}, false))
	quotas, err := admin.DescribeClientQuotas([]sarama.QuotaFilterComponent{{EntityType: sarama.QuotaEntityClientID, MatchType: sarama.QuotaMatchExact, Match: tag}}, true)
	do("DescribeClientQuotas", quotas, err)
	do("AlterClientQuotas remove", nil, admin.AlterClientQuotas(entity, sarama.ClientQuotasOp{Key: "producer_byte_rate", Remove: true}, false))
	do("DeleteTopic", nil, admin.DeleteTopic(topic))
	do("DeleteTopic again", nil, admin.DeleteTopic(topic), "topic")
}
